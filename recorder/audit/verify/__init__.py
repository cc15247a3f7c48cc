"""Verification: every digest recomputed, and what is stored beside the ledgers compared with it."""
