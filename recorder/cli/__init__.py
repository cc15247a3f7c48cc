"""The command line, which puts settings, database, recorder and API together."""

from recorder.cli.main import main

__all__ = ["main"]
