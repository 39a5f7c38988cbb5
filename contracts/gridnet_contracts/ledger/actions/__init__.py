"""What may be asked of the ledger: one frozen model per action, whole numbers and UTC instants only."""
