"""Derive from a ledger how long a group's work took and where its time went. No I/O, no clock."""
