"""The flow's own code and files in a process: where they lie, and that Python finds them. Imports the stdlib alone."""
