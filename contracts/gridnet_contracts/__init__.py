"""Money and proof: the credit ledger, certificates, the transparency log."""
