"""Forecasts that see nothing but the past: one source for the environment and for every policy that plans."""
