"""What several test packages use: ledgers, oracles, servers and programs to test against."""
