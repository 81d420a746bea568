"""Clusters that come and go during a run, and workers in numbers that follow the tasks."""
