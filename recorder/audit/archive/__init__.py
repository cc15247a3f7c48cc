"""Archives: move whole ledgers into a file that proves them, and bring them back."""
