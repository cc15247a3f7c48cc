"""What a ledger tells of a group: its episodes of work, and where its time went. No I/O, no clock."""
