"""Why a run can't be started on this machine."""


class CannotRun(Exception):  # noqa: N818 - not always an error of the program
    """Something that the user is told, and that ends the command."""
