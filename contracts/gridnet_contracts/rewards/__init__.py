"""Rewards for service to the grid: a programme's budget, shared out by verified service, with the arithmetic published."""
