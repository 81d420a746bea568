"""`python -m prefect_flowrun.cli` is the command `flowrun`."""

from prefect_flowrun.cli import main

main()
