"""Helpers shared by the test packages: ledgers, oracles, servers and programs to test against."""
