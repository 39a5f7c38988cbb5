"""Environments over the one transition of `gridnet.simulate`."""
