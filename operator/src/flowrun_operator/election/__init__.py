"""Leader election by a Lease: at most one of several operators acts.

`record.py` reads and writes Leases, `decide.py` decides what to do about one, `election.py` does it in a loop.
Not the Kubernetes client's own: it goes by the wall clock, never gives a Lease back and does not fence.
"""
