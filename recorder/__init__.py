"""Records the status of task groups over time, including when it could not be observed."""
