"""The credit registry on a chain: what leaves the ledger for it, how it is anchored, claimed, retired and reconciled."""
