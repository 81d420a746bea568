"""The flow's parameters on their way to the driver: as a file from a Secret of the attempt, exactly as written.

Not in its environment: Kubernetes changes `$$` and `$(NAME)` there, Linux starts no process with a variable over
128 KiB, and whoever may read Jobs or pods would read them.
"""

from __future__ import annotations

import json
from typing import Any

from flowrun_api.kinds.common import SecretKey
from flowrun_api.kinds.flowrun import FlowRun
from flowrun_api.kinds.naming import own_name
from flowrun_operator.build.nulls import with_nulls
from flowrun_operator.build.pod import env
from flowrun_operator.build.secrets import PARAMETERS_IN_SECRET
from flowrun_operator.engines import HostParts
from flowrun_operator.model import Defaults

_FOLDER = "/flowrun/parameters"
_VOLUME = "flowrun-parameters"
# To be read by the pod's own group alone; by all in it where no group is known to own the file.
_MODE, _MODE_WITHOUT_GROUP = 0o440, 0o444
# Not JSON: a driver that does not know of the file must not call the flow with its defaults.
_ELSEWHERE = "in the file FLOWRUN_PARAMETERS_FILE, of which this version of prefect-flowrun does not know"


def parameters_json(run: FlowRun) -> str:
    """Return the parameters as they are stored and measured: compact, in ASCII; empty if there are none.

    Prefect's server measures them in the same way.
    """
    given = _written(run)
    return json.dumps(given, separators=(",", ":")) if given else ""


def _written(run: FlowRun) -> dict[str, Any]:
    return with_nulls(run.spec.flow.parameters or {}, run.metadata.annotations, "spec", "flow", "parameters")


def parameters_secret(run: FlowRun, attempt: int) -> SecretKey | None:
    """Return where an attempt's parameters are; None: there are none."""
    if not _written(run):
        return None
    name = own_name(run.metadata.name, attempt, "parameters", run.metadata.uid)
    return SecretKey(name=name, key=PARAMETERS_IN_SECRET)


def parameters_parts(run: FlowRun, attempt: int, defaults: Defaults) -> HostParts:
    """Return what the driver's container needs to read them."""
    where = parameters_secret(run, attempt)
    if where is None:
        return HostParts(env=env(FLOWRUN_PARAMETERS="{}"))
    told = env(FLOWRUN_PARAMETERS=_ELSEWHERE, FLOWRUN_PARAMETERS_FILE=f"{_FOLDER}/{where.key}")
    security = run.spec.pod_security_context or defaults.pod_security_context
    grouped = security is None or security.fs_group is not None
    mode = _MODE if grouped else _MODE_WITHOUT_GROUP
    source: dict[str, Any] = {"secretName": where.name, "defaultMode": mode}
    mount = {"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True}
    return HostParts(env=told, volumes=[{"name": _VOLUME, "secret": source}], mounts=[mount])
