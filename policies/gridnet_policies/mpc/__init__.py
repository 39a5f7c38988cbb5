"""Model-predictive control: the optimiser on forecasts, solved again every step."""

from gridnet_policies.mpc.policy import Mpc

__all__ = ["Mpc"]
