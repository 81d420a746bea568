"""Where worker pods of every version look for the route; see `engines.dask.worker_readiness`."""

from prefect_flowrun.engines.dask.worker_readiness import routes

__all__ = ["routes"]
