"""Dask schedulers and Ray heads: as children of the driver, and of the pod of a standalone cluster."""
