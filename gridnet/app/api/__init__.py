"""The service's protocols: the native JSON API here, IEEE 2030.5, OpenADR and S2 below. Each maps, none decides."""
