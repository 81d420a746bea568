"""What a task asks of the cluster: CPUs and other resources, said the same way for every engine.

    @task
    @needs(num_cpus=2, resources={"GPU": 1})
    def train(): ...

    with needs(num_cpus=4):
        train.submit()

The decorator goes under `@task`: it marks the function, which every copy of the task shares (`with_options`). Around
submits it overrides the mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from prefect.tasks import Task

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__flowrun_needs__"
_around: ContextVar[tuple[Needs, ...]] = ContextVar("flowrun_needs", default=())


@dataclass(frozen=True)
class Needs:
    """Resources that one run of a task takes while it runs. Made by `needs`."""

    num_cpus: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        amounts = {**self.resources, **({} if self.num_cpus is None else {"num_cpus": self.num_cpus})}
        wrong = {name: amount for name, amount in amounts.items() if amount < 0}
        if wrong:
            raise ValueError(f"needs() takes no negative amounts: {wrong}")
        object.__setattr__(self, "resources", MappingProxyType(dict(self.resources)))

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
        return hash((self.num_cpus, frozenset(self.resources.items())))

    def over(self, other: Needs) -> Needs:
        """Return the other's needs with ours put over them.

        Args:
            other: of the lower precedence.
        """
        cpus = other.num_cpus if self.num_cpus is None else self.num_cpus
        return replace(self, num_cpus=cpus, resources={**other.resources, **self.resources})


def needs(*, num_cpus: float | None = None, resources: Mapping[str, float] | None = None) -> Needs:
    """Say what a task needs: as decorator under `@task`, or as context manager around submits.

    Args:
        num_cpus: CPUs. On Ray each task takes 1 if nothing is said; on Dask a task takes one thread of a worker, and
            those that say a number share the worker's CPUs among them.
        resources: amounts by name. "GPU" is known to both engines, other names are those that the workers offer.

    Raises:
        ValueError: an amount is negative.
    """
    return Needs(num_cpus, resources or {})


def needs_of(task: Task[..., Any]) -> Needs | None:
    """Return what a task submitted here and now needs; None if nothing was said.

    Args:
        task: the task.
    """
    marked: Needs | None = getattr(task.fn, _MARK, None)
    for around in _around.get():
        marked = around if marked is None else around.over(marked)
    return marked
