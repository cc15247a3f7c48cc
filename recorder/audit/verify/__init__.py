"""Verification: recompute every digest, and compare the rows beside the ledgers with the ledgers."""
