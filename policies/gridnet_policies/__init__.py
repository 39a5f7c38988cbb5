"""Dispatch policies: rule, optimiser, learned. All speak `gridnet_policies.policy.Policy`."""
