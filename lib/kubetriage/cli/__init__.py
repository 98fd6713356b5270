"""The command line: options, targets, wiring and exit codes."""
