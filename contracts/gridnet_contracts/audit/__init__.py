"""The auditor's side: verification offline, as numbered lists of checks."""
