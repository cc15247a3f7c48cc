"""Records the status of upstream task groups, and says honestly what it did not see."""
