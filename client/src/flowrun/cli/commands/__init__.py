"""The commands, one module for those that belong together; imported in the order in which the help lists them."""

from flowrun.cli.commands import start, follow, look, control, reach, clusters, check, support  # noqa: I001

__all__ = ["check", "clusters", "control", "follow", "look", "reach", "start", "support"]
