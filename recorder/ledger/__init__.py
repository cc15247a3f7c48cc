"""What an entry is, when one is written, and how entries are chained: pure, without I/O or clock."""
