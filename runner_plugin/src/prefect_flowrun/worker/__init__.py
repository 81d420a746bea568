"""A task on a worker: Prefect's context, the task's run, what is said of it."""
