"""The audit trail."""

MONTHS_AHEAD = 6
