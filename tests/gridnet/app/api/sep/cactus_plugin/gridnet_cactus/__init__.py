"""What CACTUS asks of the operator of a gridnet service."""
