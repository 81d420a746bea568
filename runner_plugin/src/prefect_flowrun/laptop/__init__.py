"""A FlowRun without Kubernetes: the same driver, coordinators and workers, as processes of this machine.

What a pod's process is told by its environment, these are told by theirs; only who starts them differs. `run` is the
operator's part, `fleet` that of a TaskCluster, `scale_api` the two requests of the Kubernetes API that a driver makes,
`ending` says how an attempt ended, in the operator's words. Imports no Prefect and no engine.
"""
