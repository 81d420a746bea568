"""`python -m flowrun.cli` is the command `flowrun`."""

from flowrun.cli import main

main()
