"""Kubernetes quantities: read, compared, added up.

What is no quantity is left alone: the API server refuses the pod and says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fractions import Fraction

from flowrun_api.kinds.common import Quantity, Resources

_BINARY = {f"{unit}i": Fraction(2 ** (10 * power)) for power, unit in enumerate("KMGTPE", 1)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i|[numkMGTPE]?)|[eE]([+-]?\d{1,3}))")

GPU = "nvidia.com/gpu"


def value(quantity: Quantity | None) -> Fraction | None:
    """Return a quantity in its base unit (bytes, cores), or None for what is none."""
    form = _FORM.fullmatch(str(quantity))
    if quantity is None or form is None:
        return None
    number, unit, exponent = form.groups()
    if exponent is not None:
        return Fraction(number) * Fraction(10) ** int(exponent)
    return Fraction(number) * (_BINARY[unit] if unit in _BINARY else Fraction(10) ** _DECIMAL[unit])


def in_bytes(quantity: Quantity | None) -> int | None:
    """Return a quantity in whole bytes, or None for what is none."""
    found = value(quantity)
    return None if found is None else int(found)


def limit(resources: Resources | None, name: str) -> Quantity | None:
    """Return the limit of a resource, if there is one."""
    return (resources.limits or {}).get(name) if resources else None


def request(resources: Resources | None, name: str) -> Quantity | None:
    """Return the request of a resource, which is its limit where only that is set."""
    own = (resources.requests or {}).get(name) if resources else None
    return limit(resources, name) if own is None else own


def total(base: Resources | None, more: Iterable[Resources]) -> Resources | None:
    """Return the resources of a container in which further processes run.

    Args:
        base: Without them.
        more: What each of them adds. It adds to a limit only where the base has one: none is set that nobody wanted.
    """
    for added in more:
        requests = _sum((base.requests if base else None) or {}, added.requests or {})
        limits = (base.limits if base else None) or {}
        raised = {name: amount for name, amount in (added.limits or {}).items() if name in limits}
        base = Resources(requests=requests or None, limits=_sum(limits, raised) or None)
    return base


def _sum(left: dict[str, Quantity], right: dict[str, Quantity]) -> dict[str, Quantity]:
    return {name: _plus(left.get(name), right.get(name)) for name in [*left, *(n for n in right if n not in left)]}


def _plus(left: Quantity | None, right: Quantity | None) -> Quantity:
    if left is None or right is None:
        return right if left is None and right is not None else left or 0
    a, b = value(left), value(right)
    return left if a is None or b is None else _text(a + b)


def _text(amount: Fraction) -> str:
    """Return an amount in the form that people would write."""
    for unit, size in (("Gi", _BINARY["Gi"]), ("Mi", _BINARY["Mi"])):
        if amount >= size and amount % size == 0:
            return f"{amount // size}{unit}"
    return str(amount.numerator) if amount.denominator == 1 else f"{math.ceil(amount * 1000)}m"
