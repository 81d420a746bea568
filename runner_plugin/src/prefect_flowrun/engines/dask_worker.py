"""Where worker pods of every version look for the preload; see `engines.dask.worker_preload`."""

from prefect_flowrun.engines.dask.worker_preload import dask_setup, dask_teardown

__all__ = ["dask_setup", "dask_teardown"]
