"""Reading a user's `podTemplate`. It has no schema: what has another form than in a pod is left out."""

from __future__ import annotations

from typing import Any

from flowrun_api.constants import MAIN_CONTAINER
from flowrun_api.kinds.common import PodOptions, Resources


def as_object(value: Any) -> dict[str, Any]:
    """Return an object as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def listed(owner: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects of a list field."""
    value = owner.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def spec_of(template: dict[str, Any] | None) -> dict[str, Any]:
    """Return the spec of the pod."""
    return as_object(as_object(template).get("spec"))


def containers(template: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return all containers of the pod, those that run first too."""
    spec = spec_of(template)
    return [*listed(spec, "containers"), *listed(spec, "initContainers")]


def main_container(template: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the template says of our container."""
    return next((each for each in listed(spec_of(template), "containers") if each.get("name") == MAIN_CONTAINER), {})


def effective_resources(options: PodOptions, default: Resources | None = None) -> Resources | None:
    """Return the resources that the main container gets: those of the options, with those of `podTemplate` over them.

    Args:
        options: What the user asked for.
        default: Where the options have none.
    """
    resources = options.resources or default
    given = resources.to_api() if resources else {}
    over = as_object(main_container(options.pod_template).get("resources"))
    if not given and not over:
        return None
    kinds = {kind: {**given.get(kind, {}), **as_object(over.get(kind))} for kind in ("requests", "limits")}
    return Resources(**{kind: amounts for kind, amounts in kinds.items() if amounts})
