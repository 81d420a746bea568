"""Parts of `make bench-tasks`; benchmarks/task_overhead.py puts them together."""
