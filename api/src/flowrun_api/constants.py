"""Names that appear in objects: group, kinds, labels; and bounds. One word per thing. Imports nothing."""

GROUP = "flowrun.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
RUNS, CLUSTERS = "flowruns", "taskclusters"

MANAGER = "flowrun-operator"

LABEL_RUN = f"{GROUP}/run"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_CLUSTER = f"{GROUP}/cluster"
LABEL_ROLE = f"{GROUP}/role"
# On drivers: their Job may be gone before them, and another run may have had the same name.
LABEL_RUN_UID = f"{GROUP}/run-uid"
# On the children of a TaskCluster that belongs to no FlowRun, in place of the run's labels.
LABEL_STANDALONE = f"{GROUP}/taskcluster"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"

ROLE_DRIVER = "driver"
ROLE_WORKER = "worker"
ROLE_COORDINATOR = "coordinator"
# Tells Prefect the end of a run whose key the operator may not read.
ROLE_REPORT = "report"

# The container that we look at in a pod; sidecars may stand beside it.
MAIN_CONTAINER = "flowrun"
# `activeDeadlineSeconds` of a pod whose main container has ended: its kubelet stops the rest. The smallest allowed.
OVERDUE_S = 1

# Child names grow from the run's: NAME-<attempt>-<cluster> must stay a Service name (63 characters).
MAX_RUN_NAME = 40
MAX_CLUSTER_NAME = 15
MAX_REPLICAS = 1000

# Of the flow's parameters as compact JSON in ASCII. Prefect's server stores no more by default.
PARAMETERS_LIMIT_BYTES = 512 * 2**10
