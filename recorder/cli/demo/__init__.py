"""`recorder demo`: everything at work at once, on a database of its own."""

from recorder.cli.demo.show import command

__all__ = ["command"]
