"""Dask: scheduler, workers, and the driver's client."""
