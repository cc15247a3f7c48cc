"""The parts of `recorder demo`: everything at work at once, on a database of its own."""
