"""From the truth of the power flow to signed readings: meters, their errors and frauds, messages and keys."""
