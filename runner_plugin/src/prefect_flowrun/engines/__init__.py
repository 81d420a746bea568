"""Engines: what differs between Dask and Ray, each behind the Protocol in `base`.

Nothing here imports an engine unless that engine is used.
"""
