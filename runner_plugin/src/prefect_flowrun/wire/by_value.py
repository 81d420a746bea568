"""Modules that a worker can't import by their name: what they define travels in the pickle.

`__main__` and cells of notebooks do so anyway, with cloudpickle. Besides, these are files that had to be loaded under
another name than their own: by Prefect's loader, or by the driver because the name is another module's; and those that
something else has loaded from a place that an import does not look into (pytest's importlib mode, `runpy`, plug-ins).
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

# Ray vendors its own copy, with its own register.
_PICKLERS = ("cloudpickle", "ray.cloudpickle")
_PREFECTS_LOADER = "__prefect_loader"
_MAIN = ("__main__", "__mp_main__")

_marked: dict[str, ModuleType] = {}
_importable: dict[str, ModuleType] = {}


def mark(module: ModuleType) -> None:
    """Have a module travel by value.

    Args:
        module: in `sys.modules` under its name.
    """
    _marked[module.__name__] = module
    register()


def register() -> None:
    """Tell the picklers that were imported since."""
    for pickler in [sys.modules[name] for name in _PICKLERS if name in sys.modules]:
        for module in _marked.values():
            pickler.register_pickle_by_value(module)


def travels(name: Any) -> bool:
    """Tell whether a module's functions and classes travel by value.

    Args:
        name: of the module.
    """
    if name in _MAIN or name in _marked:
        return True
    if not isinstance(name, str) or name not in sys.modules:
        return True
    module = sys.modules[name]
    if _importable.get(name) is module:
        return False
    if name.startswith(_PREFECTS_LOADER) or (getattr(module, "__file__", None) and not _is_found(name)):
        mark(module)
        return True
    _importable[name] = module
    return False


def _is_found(name: str) -> bool:
    """Tell whether a process that imports the name gets the file that it is here."""
    package = name.rpartition(".")[0]
    if package and (package not in sys.modules or not _is_found(package)):
        return False
    path = getattr(sys.modules[package], "__path__", None) if package else None
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    spec = next(filter(None, (finder.find_spec(name, path) for finder in finders)), None)
    file = getattr(sys.modules[name], "__file__", None)
    if spec is None or file is None or spec.origin is None or not spec.has_location:
        return spec is not None
    return bool(os.path.realpath(spec.origin) == os.path.realpath(file))
