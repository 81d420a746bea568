"""What to type next, of a run as it is."""

from __future__ import annotations

from typing import Any

from flowrun.kube import conditions

Raw = dict[str, Any]

_LOGS, _RERUN = "flowrun logs {name}", "flowrun rerun {name}"
_EDIT = "mend the manifest, then flowrun run FILE --replace"
# By the reasons of docs/api.md; those that are not here ask for a look into the log.
_BY_REASON = {
    "FlowCompleted": _LOGS,
    "FlowFailed": f"{_LOGS}, then {_RERUN}",
    "FlowLoadFailed": f"{_LOGS}; correct entrypoint, source or image, then run it anew",
    "InvalidParameters": f"{_RERUN} --param NAME=VALUE",
    "Cancelled": _RERUN,
    "FlowCancelled": _RERUN,
    "DeadlineExceeded": f"{_LOGS}; raise activeDeadlineSeconds, or see why it was slow",
    "ParametersTooLarge": "put large values into a store, and give the flow their place",
    "StartupDeadlineExceeded": "kubectl get events; the message above says what held it up",
    "InvalidPod": _EDIT,
    "ImageMissing": _EDIT,
    "InsufficientMemory": _EDIT,
    "PrefectApiUrlMissing": "set spec.prefect.apiUrl, or prefect.apiUrl in the chart",
    "PrefectUnreachable": f"flowrun doctor --pod, then {_RERUN}",
}


def next_step(run: Raw) -> str:
    """Return what somebody who looks at a run would type next.

    Args:
        run: the FlowRun.
    """
    name = run["metadata"]["name"]
    result = conditions.result(run)
    if result is not None:
        return _BY_REASON.get(result.reason, f"{_LOGS}, then {_RERUN}").format(name=name)
    if run["spec"].get("suspend"):
        return f"flowrun resume {name}"
    if not run.get("status"):
        return "flowrun doctor (no operator has looked at it yet)"
    return f"flowrun watch {name}"
