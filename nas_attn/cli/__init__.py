"""The command line: one readable file a command, heavy imports inside the command."""
