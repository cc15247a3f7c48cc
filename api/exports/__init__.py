"""Whole selections as streams of CSV or NDJSON."""
