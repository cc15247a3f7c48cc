"""`python -m recorder.cli.child COMMAND`: run a command as part of another one, and end with it."""

from __future__ import annotations

from recorder.cli.main import main
from recorder.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main(within_another=True)
