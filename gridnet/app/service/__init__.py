"""The dispatch service without its protocols: who may do what, devices, controls, telemetry, decisions. One sign: > 0 generates."""
