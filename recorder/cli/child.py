"""`python -m recorder.cli.child COMMAND`: a command that runs as part of another one and ends with it."""

from __future__ import annotations

from recorder.cli.main import main
from recorder.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
