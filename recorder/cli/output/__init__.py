"""What the commands print: tables, plots, files and progress."""
