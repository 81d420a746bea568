"""What a task asks of the cluster: CPUs and other resources, said the same way for every engine.

    @task
    @needs(num_cpus=2, resources={"GPU": 1})
    def train(): ...

    with needs(num_cpus=4):
        train.submit()

    @task
    @needs(ray={"accelerator_type": "A100", "max_calls": 1})
    def infer(): ...

The decorator goes under `@task`: it marks the function, which every copy of the task shares (`with_options`). Around
submits it overrides the mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from prefect.tasks import Task

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__flowrun_needs__"
# Options of Ray's tasks that the engine sets, and what says the same here.
OWN_OPTIONS = {
    "name": "tasks are named by Prefect",
    "num_returns": "a task has one result",
    "max_retries": "`retries` of the task, or `lost_task_retries` of ClusterTaskRunner, says how often it runs again",
    "retry_exceptions": "`retries` and `retry_condition_fn` of the task say when it runs again",
}
_around: ContextVar[tuple[Needs, ...]] = ContextVar("flowrun_needs", default=())


@dataclass(frozen=True)
class Needs:
    """Resources that one run of a task takes while it runs. Made by `needs`."""

    num_cpus: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    ray: Mapping[str, Any] = field(default_factory=dict)
    """Further options of Ray's tasks. No other engine looks at them."""

    def __post_init__(self) -> None:
        amounts = {**self.resources, **({} if self.num_cpus is None else {"num_cpus": self.num_cpus})}
        wrong = {name: amount for name, amount in amounts.items() if amount < 0}
        if wrong:
            raise ValueError(f"needs() takes no negative amounts: {wrong}")
        object.__setattr__(self, "resources", MappingProxyType(dict(self.resources)))
        object.__setattr__(self, "ray", MappingProxyType(dict(self.ray)))

    def __call__(self, function: F) -> F:
        """Mark a task's function."""
        function_of_task = getattr(function, "fn", function)
        setattr(function_of_task, _MARK, self)
        return function

    def __enter__(self) -> Self:
        _around.set((*_around.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _around.set(_around.get()[:-1])

    def __hash__(self) -> int:
        # Values of Ray's options may have no hash.
        return hash((self.num_cpus, frozenset(self.resources.items()), frozenset(self.ray)))

    def over(self, other: Needs) -> Needs:
        """Return the other's needs with ours put over them.

        Args:
            other: of the lower precedence.
        """
        return Needs(
            num_cpus=other.num_cpus if self.num_cpus is None else self.num_cpus,
            resources={**other.resources, **self.resources},
            ray=_options_over(self.ray, other.ray),
        )


def needs(
    *,
    num_cpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    ray: Mapping[str, Any] | None = None,
) -> Needs:
    """Say what a task needs: as decorator under `@task`, or as context manager around submits.

    Args:
        num_cpus: CPUs. On Ray each task takes 1 if nothing is said; on Dask a task takes one thread of a worker, and
            those that say a number share the worker's CPUs among them.
        resources: amounts by name. "GPU" is known to both engines, other names are those that the workers offer.
        ray: options of Ray's tasks, as `@ray.remote` takes them: `memory`, `accelerator_type`, `runtime_env`,
            `scheduling_strategy`, ... Other engines know only `num_cpus`, `num_gpus` and `resources` of them.

    Raises:
        ValueError: an amount is negative, or an option of Ray's is one that the engine sets.
    """
    if own := sorted(OWN_OPTIONS.keys() & (ray or {}).keys()):
        reasons = "; ".join(f"{name!r}: {OWN_OPTIONS[name]}" for name in own)
        raise ValueError(f"needs(ray=...) can't take what FlowRun itself tells Ray: {reasons}")
    return from_ray(ray or {}).over(Needs(num_cpus, resources or {}))


def from_ray(options: Mapping[str, Any]) -> Needs:
    """Return needs from options of Ray's tasks: amounts by the names that all engines know.

    Args:
        options: None as a value means that nothing is said.

    Raises:
        ValueError: an amount is negative.
    """
    rest = {name: value for name, value in options.items() if value is not None}
    cpus, gpus = rest.pop("num_cpus", None), rest.pop("num_gpus", None)
    resources = {**rest.pop("resources", {}), **({} if gpus is None else {"GPU": gpus})}
    return Needs(cpus, resources, rest)


def needs_of(task: Task[..., Any], *, below: Needs | None = None, above: Needs | None = None) -> Needs | None:
    """Return what a task submitted here and now needs; None if nothing was said.

    Args:
        task: the task.
        below: what counts where neither its mark nor a `with needs()` says anything.
        above: what goes before its mark, but not before a `with needs()`.
    """
    found: Needs | None = None
    for said in (below, getattr(task.fn, _MARK, None), above, *_around.get()):
        if said is not None:
            found = said if found is None else said.over(found)
    return found


def _options_over(options: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**other, **options}
    ours, theirs = options.get("runtime_env"), other.get("runtime_env")
    if ours and theirs:
        # As Ray itself puts a task's environment over that of its job.
        merged["runtime_env"] = {**theirs, **ours}
        if variables := {**(theirs.get("env_vars") or {}), **(ours.get("env_vars") or {})}:
            merged["runtime_env"]["env_vars"] = variables
    return merged
