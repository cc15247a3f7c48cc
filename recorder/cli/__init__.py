"""The command line: the one place that puts settings, store, recorder and API together."""

from recorder.cli.main import main

__all__ = ["main"]
