"""Whether a signed reading is physically true: a numbered ladder of checks (docs/verification.md)."""
