"""The audit trail: proving that what was recorded still stands, carrying it elsewhere, bringing it in."""
