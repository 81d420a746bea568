"""Names of our kinds and of the labels on what belongs to them."""

GROUP, VERSION = "flowrun.dev", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
RUNS, CLUSTERS = "flowruns", "taskclusters"
RUN_KIND, CLUSTER_KIND = f"{RUNS}.{GROUP}", f"{CLUSTERS}.{GROUP}"

LABEL_RUN = f"{GROUP}/run"
LABEL_RUN_UID = f"{GROUP}/run-uid"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_CLUSTER = f"{GROUP}/cluster"
LABEL_ROLE = f"{GROUP}/role"
LABEL_STANDALONE = f"{GROUP}/taskcluster"
DRIVER, WORKER, COORDINATOR = "driver", "worker", "coordinator"

# The container that we look at in a pod; a pod template may have added others.
MAIN_CONTAINER = "flowrun"
