"""Modules that a worker can't import by their name: what they define travels in the pickle.

`__main__` and cells of notebooks do so anyway, with cloudpickle. Besides, these are files that had to be loaded under
another name than their own: by Prefect's loader, or by the driver because the name is another module's.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

# Ray vendors its own copy, with its own register.
_PICKLERS = ("cloudpickle", "ray.cloudpickle")
_PREFECTS_LOADER = "__prefect_loader"
_MAIN = ("__main__", "__mp_main__")

_marked: dict[str, ModuleType] = {}


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
    if isinstance(name, str) and name.startswith(_PREFECTS_LOADER) and name in sys.modules:
        mark(sys.modules[name])
        return True
    return name not in sys.modules
