"""What a command does while something runs elsewhere: its stages, its logs, Ctrl-C."""
