"""The package that each engine is, and whether it is there; imports none of them."""

from __future__ import annotations

import importlib.util

PACKAGES = {"Dask": "distributed", "Ray": "ray"}
"""By the names of the API."""


def is_installed(engine: str) -> bool:
    """Tell whether the package of an engine is there.

    Args:
        engine: Dask or Ray.
    """
    return importlib.util.find_spec(PACKAGES[engine]) is not None
