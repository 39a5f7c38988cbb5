"""IEEE 2030.5 / CSIP-AUS over the service. It maps and decides nothing; like gridnet, 2030.5 counts generation as positive."""
