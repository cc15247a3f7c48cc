"""The audit trail: verify what was recorded, export it and import it."""
