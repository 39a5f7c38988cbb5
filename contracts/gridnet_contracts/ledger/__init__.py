"""The ledger of record: double-entry movements, certificates, storage."""
