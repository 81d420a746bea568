"""The little that the operator says to Prefect, in plain HTTP: it has no Prefect in its image."""
