"""Objects as they may be shown to strangers: what a user has written into them as a value is left out."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]

_HIDDEN = "(left out)"
# Below these keys every text, number and truth value goes; names of keys stay, for they say what was set.
_VALUES = frozenset({"parameters", "data", "binaryData", "stringData"})
_ENV = "env"
_ANNOTATIONS = "annotations"
_DROPPED = frozenset({"managedFields"})


def redacted(item: Any) -> Any:
    """Return a copy of an object without values of parameters, variables, annotations and ConfigMaps.

    Args:
        item: plain data.
    """
    if isinstance(item, list):
        return [redacted(each) for each in item]
    if not isinstance(item, dict):
        return item
    return {key: _redacted(key, value) for key, value in item.items() if key not in _DROPPED}


def _redacted(key: str, value: Any) -> Any:
    if key in _VALUES or key == _ANNOTATIONS:
        return _emptied(value)
    if key == _ENV and isinstance(value, list):
        return [
            {name: _HIDDEN if name == "value" else redacted(each) for name, each in entry.items()} for entry in value
        ]
    return redacted(value)


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _emptied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_emptied(each) for each in value]
    return _HIDDEN
