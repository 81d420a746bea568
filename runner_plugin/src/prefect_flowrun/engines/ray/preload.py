"""Imported by every Ray task process before it takes its first task: see `RAY_preload_python_modules`."""

import ray

from prefect_flowrun.engines.ray import calls
from prefect_flowrun.source import import_path
from prefect_flowrun.worker.forked_children import end_at_sigterm
from prefect_flowrun.worker.warm_up import warm_up

end_at_sigterm()
calls.route(ray, calls.OnWorker())
warm_up("prefect_flowrun.engines.ray.entry")
# After our own imports: a file of the flow may have the name of one.
import_path.enter()
