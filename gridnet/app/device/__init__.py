"""A simulated battery inverter: the house's physics, SunSpec registers, a meter that signs, and the link to the service."""
