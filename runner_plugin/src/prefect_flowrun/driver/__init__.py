"""The driver's process: `python -m prefect_flowrun.driver` runs one attempt of a FlowRun."""
