"""OpenADR 3 over the service: a VTN whose own events are the devices' setpoints. It counts consumption: the sign flips here."""
