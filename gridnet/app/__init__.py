"""The roof: where dispatch meets people."""
