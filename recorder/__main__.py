"""Run the command line: `python -m recorder` is the same as `recorder`."""

from recorder.cli import main

if __name__ == "__main__":
    main()
