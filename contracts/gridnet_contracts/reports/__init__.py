"""What the ledger adds up to, for people: a consumer's hours, and the proof that no watt-hour is lost or counted twice."""
