"""Clusters that come and go while the flow runs: on demand, elastic; how many workers, and why they are missing."""
