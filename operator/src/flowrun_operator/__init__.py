"""FlowRun operator: runs Prefect flows on ephemeral Dask and Ray clusters as Kubernetes objects.

The walk from YAML to a worker's command line: `api` (models) -> `decide` (plan) -> `build` and `engines` (manifests)
-> `kube` (I/O).
"""

__version__ = "0.1.0"
