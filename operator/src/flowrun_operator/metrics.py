"""Prometheus metrics. No label has an unbounded set of values."""

from prometheus_client import Counter, Gauge, Histogram

API_REQUESTS = Counter("flowrun_api_requests_total", "Requests to the Kubernetes API", ["verb", "code"])
API_SECONDS = Histogram("flowrun_api_request_duration_seconds", "Duration of requests to the Kubernetes API", ["verb"])
RECONCILES = Counter("flowrun_reconciles_total", "Reconciles by kind and result", ["kind", "result"])
RECONCILE_SECONDS = Histogram("flowrun_reconcile_duration_seconds", "Duration of a reconcile", ["kind"])
QUEUE_DEPTH = Gauge("flowrun_workqueue_depth", "Keys waiting to be reconciled")
RUNS_FINISHED = Counter("flowrun_runs_finished_total", "Runs by result", ["result"])
WATCH_EVENTS = Counter("flowrun_watch_events_total", "Watch events received", ["kind"])
LEADER = Gauge("flowrun_leader", "1 if this operator leads and acts, 0 if it stands by")
LAST_RESYNC = Gauge("flowrun_last_resync_timestamp_seconds", "When the cache was last compared with the API server")
