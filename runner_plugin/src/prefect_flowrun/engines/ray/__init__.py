"""Ray: head, workers, and the driver's connection."""
