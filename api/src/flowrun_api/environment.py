"""Names of the environment variables that FlowRun itself sets or reads."""

# Whose process this is.
NAME = "FLOWRUN_NAME"
NAMESPACE = "FLOWRUN_NAMESPACE"
UID = "FLOWRUN_UID"
ATTEMPT = "FLOWRUN_ATTEMPT"
CLUSTER = "FLOWRUN_CLUSTER"
POD_IP = "FLOWRUN_POD_IP"

# What the driver runs, and where its result goes; see `contract`.
ENTRYPOINT = "FLOWRUN_ENTRYPOINT"
PARAMETERS = "FLOWRUN_PARAMETERS"
# Before PARAMETERS: Kubernetes changes `$$` and `$(NAME)` in variables, and Linux takes none over 128 KiB.
PARAMETERS_FILE = "FLOWRUN_PARAMETERS_FILE"
TASK_RUNNERS = "FLOWRUN_TASK_RUNNERS"
CLUSTERS = "FLOWRUN_CLUSTERS"
TERMINATION_LOG = "FLOWRUN_TERMINATION_LOG"

# Of a report of an end from outside; see `records.lost_driver_report`.
IDEMPOTENCY_KEY = "FLOWRUN_IDEMPOTENCY_KEY"
REPORT_TYPE = "FLOWRUN_REPORT_TYPE"
REPORT_MESSAGE = "FLOWRUN_REPORT_MESSAGE"

# Set by users: which engine every runner uses, and where a standalone cluster is reached.
ENGINE = "FLOWRUN_ENGINE"
TASKCLUSTER_ADDRESS = "FLOWRUN_TASKCLUSTER_ADDRESS"
# 1: Prefect hears of every state of short task runs, too.
ALL_EVENTS = "FLOWRUN_ALL_EVENTS"

# Of a run without Kubernetes: where its processes listen, and what stands in for the API that scales clusters; see
# `laptop`.
LISTEN = "FLOWRUN_LISTEN"
SCALE_SOCKET = "FLOWRUN_SCALE_SOCKET"

# Knobs, in seconds.
API_TIMEOUT_SECONDS = "FLOWRUN_API_TIMEOUT_SECONDS"
CANCEL_POLL_SECONDS = "FLOWRUN_CANCEL_POLL_SECONDS"
END_TIMEOUT_SECONDS = "FLOWRUN_END_TIMEOUT_SECONDS"
IDLE_SECONDS = "FLOWRUN_IDLE_SECONDS"

# 1: Ray's own agents run on each node instead of the stand-in, and its log monitor.
RAY_AGENTS = "FLOWRUN_RAY_AGENTS"
# Set where the spec has no memory limit: Ray nodes plan with the one that their container has.
RAY_FIT_STORE = "FLOWRUN_RAY_FIT_STORE"
# Below which Ray's nodes keep their files and sockets; several runs may share a machine.
RAY_FOLDER = "FLOWRUN_RAY_FOLDER"

# The flow's code and files, mounted read-only, and the folder that they are worked with in; see `source`.
SOURCE = "FLOWRUN_SOURCE"
WORK = "FLOWRUN_WORK"
# Of code in git: what the driver fetches, as JSON, and the file with the credentials for it.
GIT = "FLOWRUN_GIT"
GIT_CREDENTIALS_FILE = "FLOWRUN_GIT_CREDENTIALS_FILE"

# What a user may set in his shell for a run on his machine; all else is the run's own.
OF_USERS = (ENGINE, TASKCLUSTER_ADDRESS, ALL_EVENTS, API_TIMEOUT_SECONDS, CANCEL_POLL_SECONDS, RAY_AGENTS)
