"""What flows written for prefect-dask find here in the place of its runner."""
