"""A proven lower bound on what any schedule costs: a conic relaxation of the AC power flow, priced step by step."""

from gridnet_policies.bound.bound import Bound, lower_bound

__all__ = ["Bound", "lower_bound"]
