"""`python -m recorder.cli.child COMMAND`: a command as a part of another, with which it ends."""

from __future__ import annotations

from recorder.cli.main import main
from recorder.lifeline import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
