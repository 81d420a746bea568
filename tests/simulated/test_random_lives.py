"""F01 to F28 in any order: a run lives through random deeds and random faults, and still ends as it must."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, NAMESPACE, message
from operator_testing.faults import SERVER_ERRORS, Chaos, conflict, forbidden, too_many
from operator_testing.invariants import KEY, Invariants
from operator_testing.playing import rest, wipe
from operator_testing.scenarios import ELASTIC, ENV, FLOW, GPU, Scenario
from operator_testing.world import World

from flowrun_operator.observe.fields import attempt_number, owner_uid

_ERRORS = (conflict, too_many, forbidden, *SERVER_ERRORS)
_ENDS = {
    "success": (message(), 0),
    "failure": (message("FAILED", "FlowFailed"), 1),
    "kill": ("", 137),
    "exit without a word": ("", 0),
}


class RandomLife(RuleBasedStateMachine):
    """One FlowRun, its user, its nodes and its misfortunes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.patches = pytest.MonkeyPatch()
        self.chaos = Chaos()
        self.world = World(self.patches, replace(DEFAULTS, prefect_api_key_set=True), KEY, self.chaos)
        self.oracle = Invariants(self.world)
        self.spec: dict = {}
        self.deleted_jobs: list[dict] = []

    def exists(self) -> bool:
        return bool(self.world.api.of("FlowRun"))

    def recorded(self, job: dict) -> bool:
        """Whether the status tells of the attempt of a Job, or no longer needs to."""
        runs = [run for run in self.world.api.of("FlowRun") if run["metadata"]["uid"] == owner_uid(job)]
        numbers = [a["number"] for run in runs for a in (run.get("status") or {}).get("attempts", [])]
        return not runs or attempt_number(job) in numbers

    def remembered(self, job: dict) -> bool:
        """Whether the operator knows of the Job and will not be killed before it writes that down."""
        known = [operator.cache.begun.get(owner_uid(job), 0) for operator in self.world.operators]
        return not self.chaos.kills and attempt_number(job) <= max(known, default=0)

    def may_be_killed(self) -> bool:
        """Whether nothing is lost with the operator's memory: a Job that is deleted before any status tells of it, and
        an operator killed before it can, leave nobody to know that there was an attempt."""
        return all(self.recorded(job) for job in self.deleted_jobs)

    @initialize(
        clusters=st.sampled_from([[], [DASK_CLUSTER], [DASK_CLUSTER, GPU], [ELASTIC]]),
        retries=st.integers(0, 3),
        deadline_s=st.sampled_from([None, 20]),
        refused=st.sampled_from([0, 5]),
    )
    def apply(self, clusters: list, retries: int, deadline_s: int | None, refused: int) -> None:
        self.spec = {"clusters": clusters, "retryPolicy": {"maxInfrastructureRetries": retries}}
        self.spec |= {"activeDeadlineSeconds": deadline_s} if deadline_s else {}
        self.world.apply(**FLOW, **ENV, **self.spec)
        self.oracle.finished_at = None
        # Of a run whose first statuses are refused much happens before anything is recorded.
        self.chaos.errors["patch"] = [conflict() for _ in range(refused)]

    # The user.

    @precondition(exists)
    @rule()
    def cancel(self) -> None:
        self.world.set_spec(cancel=True)

    @precondition(exists)
    @rule(on=st.booleans())
    def suspend(self, on: bool) -> None:
        self.world.set_spec(suspend=on)

    @precondition(exists)
    @rule(ttl_s=st.sampled_from([0, 5, 3600]))
    def change_ttl(self, ttl_s: int) -> None:
        self.world.set_spec(ttlSecondsAfterFinished=ttl_s)

    @precondition(exists)
    @rule()
    def delete(self) -> None:
        self.world.api.remove(self.world.run)

    @precondition(lambda self: not self.exists())
    @rule()
    def apply_again(self) -> None:
        self.world.apply(**FLOW, **ENV, **self.spec)

    # The driver and the nodes.

    @rule(attempt=st.integers(1, 3), end=st.sampled_from(sorted(_ENDS)))
    def end_driver(self, attempt: int, end: str) -> None:
        self.world.nodes.ends[str(attempt)] = _ENDS[end]

    @rule(starts=st.booleans())
    def nodes_start_pods(self, starts: bool) -> None:
        self.world.nodes.starts = starts

    @rule(role=st.sampled_from(["worker", "driver"]), which=st.integers(0, 3))
    def lose_pod(self, role: str, which: int) -> None:
        pods = [p for p in self.world.api.of("Pod") if p["metadata"]["labels"]["flowrun.dev/role"] == role]
        if pods:
            self.world.nodes.lose(pods[which % len(pods)]["metadata"]["name"])

    @rule(kind=st.sampled_from(["Job", "Service", "TaskCluster", "Pod"]), which=st.integers(0, 3))
    def delete_child_by_hand(self, kind: str, which: int) -> None:
        children = self.world.api.of(kind)
        if kind == "Job":
            children = [job for job in children if self.recorded(job) or self.remembered(job)]
        if children:
            child = children[which % len(children)]
            self.deleted_jobs += [child] if kind == "Job" else []
            self.world.api.terminate(child)

    @rule(replicas=st.integers(0, 4))
    def driver_scales(self, replicas: int) -> None:
        for cluster in self.world.api.of("TaskCluster"):
            if cluster["metadata"]["name"].endswith(("gpu", "wide")):
                name = cluster["metadata"]["name"]
                self.world.api.change(
                    "TaskCluster", NAMESPACE, name, lambda raw: raw["spec"]["workers"].update(replicas=replicas)
                )

    # Misfortune.

    @precondition(may_be_killed)
    @rule()
    def kill_operator(self) -> None:
        self.world.start_operator()

    @precondition(may_be_killed)
    @rule(seconds=st.sampled_from([0.0, 5.0, 40.0]))
    def kill_operator_at_its_next_write(self, seconds: float) -> None:
        self.chaos.kills, self.chaos.downtime_s = 1, seconds

    @rule(number=st.integers(1, 3))
    def lose_answers(self, number: int) -> None:
        self.chaos.losses = number

    @rule(number=st.integers(1, 5))
    def drop_events(self, number: int) -> None:
        self.chaos.drops = number

    @rule(kind=st.sampled_from(["FlowRun", "TaskCluster", "Job", "Pod", "Service"]), seconds=st.sampled_from([0, 1, 6]))
    def watch_lags(self, kind: str, seconds: int) -> None:
        self.chaos.lag_s[kind] = seconds

    @rule(
        verb=st.sampled_from(["create", "patch", "delete", "deletecollection", "get", "list"]),
        errors=st.lists(st.sampled_from(_ERRORS), min_size=1, max_size=3),
    )
    def api_fails(self, verb: str, errors: list) -> None:
        self.chaos.errors[verb] = [error() for error in errors]

    @rule(down=st.booleans())
    def prefect_fails(self, down: bool) -> None:
        self.chaos.prefect_down = down

    @rule(seconds=st.sampled_from([0.5, 2, 7, 130]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run_until_complete(self.world.pass_time(seconds, 0.5 if seconds < 10 else 2))
        assert self.oracle.broken == [], self.oracle.broken

    def teardown(self) -> None:
        try:
            self.chaos.calm()
            if self.exists():
                self.world.set_spec(suspend=False)
            self.loop.run_until_complete(self._end())
            assert self.oracle.broken == [], self.oracle.broken
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
            self.patches.undo()

    async def _end(self) -> None:
        await rest(self.world)
        await self.oracle.check_rest(None)
        await wipe(self.world, self.oracle, Scenario("random", rest))


_many = bool(os.environ.get("FLOWRUN_ALL_FAULTS"))
RandomLife.TestCase.settings = settings(
    max_examples=3000 if _many else 500,
    stateful_step_count=30,
    derandomize=not _many,  # CI does not change its mind
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class TestRandomLives(RandomLife.TestCase):
    """Collected by pytest."""
