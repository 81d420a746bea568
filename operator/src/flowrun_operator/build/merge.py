"""Merging a user's pod template over a built one."""

from __future__ import annotations

from typing import Any

# Lists whose items are told apart by a key, as in Kubernetes' strategic merge patch: volumeMounts have both keys, and
# one volume may be mounted twice.
_KEYS = ("mountPath", "name")


def merged(base: Any, over: Any) -> Any:
    """Return `base` with `over` laid on it: objects merge, lists of named items merge by name, all else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merged(base[key], value) if key in base else value for key, value in over.items()}}
    if isinstance(base, list) and isinstance(over, list):
        return _merged_list(base, over)
    return over


def _merged_list(base: list[Any], over: list[Any]) -> list[Any]:
    for key in _KEYS:
        if all(isinstance(item, dict) and key in item for item in (*base, *over)):
            names = [item[key] for item in base]
            result = list(base)
            for item in over:
                if item[key] in names:
                    index = names.index(item[key])
                    result[index] = merged(result[index], item)
                else:
                    result.append(item)
            return result
    return over
