"""Create dask-kubernetes' CRDs, as its own package brings them. Runs in the cluster, from the bench image."""

from __future__ import annotations

import sys
from pathlib import Path

import dask_kubernetes
import yaml
from kubernetes import client, config

label = dict([sys.argv[1].split("=")])
config.load_incluster_config()
api = client.ApiextensionsV1Api()
folder = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
for file in sorted(folder.glob("*.yaml")):
    for crd in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
        if not crd:
            continue
        crd["metadata"]["labels"] = label
        try:
            api.create_custom_resource_definition(crd)
        except client.ApiException as error:
            if error.status != 409:
                raise
        print(crd["metadata"]["name"], flush=True)
