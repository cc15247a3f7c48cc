"""The types of the response bodies."""
