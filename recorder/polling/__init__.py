"""The polling schedule, and the engine that carries it out."""
