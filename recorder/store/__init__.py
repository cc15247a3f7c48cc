"""The ledger in SQL: tables and views, transactions, and the functions that write and read."""
