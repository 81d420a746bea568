"""What flows written for prefect-ray expect of their runner."""
