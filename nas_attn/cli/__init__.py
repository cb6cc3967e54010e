"""The command line: one readable file per command, heavy imports inside the command."""
