"""The version of the command, readable without importing anything else."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("flowrun")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0.0.0"
