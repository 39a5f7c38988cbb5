"""The benchmark: every policy on the same held-out weeks, through the same shield and AC power flow."""
