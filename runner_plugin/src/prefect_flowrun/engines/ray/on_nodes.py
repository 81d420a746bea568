"""A function of ours on chosen nodes of the cluster, beside the tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray import exceptions as errors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def run_on_nodes(node_ids: Iterable[str], timeout: float, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Run a function once on each node.

    Args:
        node_ids: Ray's.
        timeout: seconds.
        function: travels by reference if it is a module's.
        args: of the function.

    Returns:
        What it returned, by node; those that do not answer in time are left out.
    """
    remote = ray.remote(num_cpus=0, max_retries=0)(function)
    refs = {}
    for node_id in node_ids:
        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        refs[remote.options(scheduling_strategy=there).remote(*args)] = node_id
    if not refs:
        return {}
    answers = {}
    for ref in ray.wait(list(refs), num_returns=len(refs), timeout=timeout)[0]:
        with contextlib.suppress(errors.RayError):  # that node is gone
            answers[refs[ref]] = ray.get(ref)
    return answers
