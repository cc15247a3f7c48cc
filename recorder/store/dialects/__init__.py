"""The differences between databases; `base` lists all that a database has to provide."""
