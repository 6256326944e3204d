"""The command line: arguments, signals, output, exit codes, and a module for each command."""
