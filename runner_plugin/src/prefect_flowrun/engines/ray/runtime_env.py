"""Runtime environments of single tasks: folders of this machine are sent to the cluster, as `ray.init` sends them.

Ray takes local folders for a whole job only. A job here is a driver with many flows, each of which may have another
environment.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

_FOLDERS = ("working_dir", "py_modules")
# What a pod's container can't give, whatever the image.
_BEYOND_A_POD = ("container", "image_uri")
# Of a job only.
_BEYOND_A_TASK = ("worker_process_setup_hook",)


def uploaded(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment with folders replaced by the addresses of their copies on the cluster.

    Args:
        environment: as `ray.init(runtime_env=...)` takes it.

    Raises:
        ValueError: a folder is not there, or this version of Ray can't send it.
    """
    result = {name: value for name, value in environment.items() if name not in _BEYOND_A_TASK}
    if not any(result.get(name) for name in _FOLDERS):
        return result
    try:
        # No public function does it for one task.
        from ray._private.runtime_env.py_modules import upload_py_modules_if_needed  # noqa: PLC0415
        from ray._private.runtime_env.working_dir import upload_working_dir_if_needed  # noqa: PLC0415

        result = _call(upload_py_modules_if_needed, _call(upload_working_dir_if_needed, result))
    except (ImportError, TypeError) as error:
        raise ValueError(
            f"This version of Ray can't send {' and '.join(_FOLDERS)} for single tasks ({error}): "
            "put the files into the image or beside the flow, or give the address of an archive"
        ) from error
    result.pop("excludes", None)  # told the sending side what not to send
    return result


def doubts(environment: Mapping[str, Any]) -> list[str]:
    """Return what of an environment has no effect here, or needs more than a pod has, each with what to do.

    Args:
        environment: as `ray.init(runtime_env=...)` takes it.
    """
    found = [
        f"{name} needs podman and rights that a worker's pod has not: name the image in clusters[].workers.image"
        for name in _BEYOND_A_POD
        if environment.get(name)
    ]
    return found + [f"{name} is left out: call it in the task" for name in _BEYOND_A_TASK if environment.get(name)]


def _call(upload: Callable[..., dict[str, Any]], environment: dict[str, Any]) -> dict[str, Any]:
    known = inspect.signature(upload).parameters
    options: dict[str, Any] = {"include_gitignore": True, "scratch_dir": tempfile.gettempdir()}
    return upload(environment, **{name: value for name, value in options.items() if name in known})
