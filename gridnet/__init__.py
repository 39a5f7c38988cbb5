"""gridnet runs a neighbourhood's batteries and solar as one network and proves what it did."""
