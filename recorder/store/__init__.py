"""The ledger in SQL: tables and views, the one way to begin a transaction, writers and readers."""
