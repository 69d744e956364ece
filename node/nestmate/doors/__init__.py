"""The doors: ways in from this machine, each rendered from the table of operations."""
