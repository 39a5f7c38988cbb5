"""Learned dispatch: training with stable-baselines3, and the trained policy at work."""
