"""When to ask again, and the engine that asks."""
