"""Imported by every Ray task process before it takes its first task: see `RAY_preload_python_modules`."""

from prefect_flowrun.worker.warm_up import warm_up

warm_up("prefect_flowrun.engines.ray.entry")
