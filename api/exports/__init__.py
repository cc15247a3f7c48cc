"""Exports of whole selections as streams of CSV or NDJSON."""
