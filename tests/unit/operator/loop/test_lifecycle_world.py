"""Ends of runs over the in-memory API server: retries, cancellations that race, Prefect that is away, what is kept."""

import itertools
from dataclasses import replace

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, NAMESPACE, message
from operator_testing.stories import end_state
from operator_testing.world import World

RETRY = {"retryPolicy": {"maxInfrastructureRetries": 1}}
MINE = {"prefect": {"apiKeySecret": {"name": "mine"}}}


async def started(world: World, **spec) -> World:
    world.apply(**spec)
    await world.work()
    await world.pass_time(5)
    return world


def told(world: World) -> list[str]:
    return [what for _, what in world.prefect.reports]


def informed(world: World) -> tuple[str, str]:
    found = world.condition("PrefectInformed")
    return found["status"], found["reason"]


def live_drivers(world: World) -> list[str]:
    drivers = [p for p in world.api.of("Pod") if p["metadata"]["labels"]["flowrun.dev/role"] == "driver"]
    return [p["metadata"]["name"] for p in drivers if p.get("status", {}).get("phase") == "Running"]


async def test_F28_prefect_hears_of_a_crash_when_it_is_back_even_if_the_operator_was_restarted(world):
    await started(world)
    world.prefect.down = True
    world.nodes.end_driver(1, "", 137)
    await world.pass_time(60)
    assert world.status["state"] == "Failed", "the teardown does not wait"
    assert end_state(world)["children"] == []
    assert informed(world) == ("False", "Reporting")
    world.start_operator()
    await world.pass_time(30)
    world.prefect.down = False
    await world.pass_time(60)
    assert told(world) == ["CRASHED"]
    assert informed(world) == ("True", "Told")


async def test_F28_an_outage_of_prefect_costs_no_writes_while_it_lasts(world):
    await started(world)
    world.prefect.down = True
    world.nodes.end_driver(1, "", 137)
    await world.pass_time(20)
    world.api.writes.clear()
    await world.pass_time(120)
    assert world.api.writes == []


async def test_F28_a_retry_is_not_held_up_by_prefect_and_what_it_missed_is_told_at_the_end(world):
    await started(world, **RETRY)
    world.prefect.down = True
    world.nodes.end_driver(1, "", 137)
    await world.pass_time(12)
    assert live_drivers(world)[0].startswith("etl-2")
    world.prefect.down = False
    await world.pass_time(20)
    assert told(world) == [], "the second driver speaks for the run"
    world.nodes.end_driver(2)
    await world.pass_time(40)
    assert world.status["state"] == "Succeeded"
    assert told(world) == ["COMPLETED"], "which ends the task runs of the first attempt as Crashed"


async def test_I5_a_run_with_its_own_key_is_reported_from_its_namespace(world):
    await started(world, **MINE)
    world.nodes.end_driver(1, "", 137)
    await world.pass_time(4)
    name = next(n for n in world.api.names("Job") if "report" in n)
    assert told(world) == []
    assert informed(world) == ("False", "Reporting")
    pod = next(p for p in world.api.of("Pod") if p["metadata"]["labels"]["flowrun.dev/role"] == "report")
    end = {"phase": "Succeeded", "containerStatuses": [{"name": "flowrun", "state": {"terminated": {"exitCode": 0}}}]}
    world.api.change("Pod", NAMESPACE, pod["metadata"]["name"], lambda raw: raw.update(status=end))
    await world.pass_time(5)
    assert informed(world) == ("True", "Told")
    assert name not in world.api.names("Job")


@pytest.mark.parametrize("order", list(itertools.permutations(["cancel", "end", "work", "restart"])))
async def test_F24_success_racing_with_a_cancellation_gives_one_result_written_once(world, order):
    await started(world)
    results = []

    def watch(event, kind, raw):
        found = [c for c in (raw.get("status") or {}).get("conditions", []) if c["type"] == "Succeeded"]
        if kind == "FlowRun" and found and found[0]["status"] != "Unknown":
            results.append((found[0]["status"], found[0]["reason"]))

    world.api.listeners.append(watch)
    for step in order:
        if step == "cancel":
            world.set_spec(cancel=True)
        elif step == "end":
            world.nodes.end_driver()
            world.nodes.step()
        elif step == "restart":
            world.start_operator()
            world.api.listeners.append(watch)
        else:
            await world.work()
    await world.pass_time(40)
    assert len(set(results)) == 1
    assert results[0] in [("True", "FlowCompleted"), ("False", "Cancelled")]
    assert end_state(world)["children"] == []
    assert informed(world)[0] == "True"
    assert ("CANCELLED" in told(world)) is (results[0][1] == "Cancelled")


async def test_F23_a_suspended_run_waits_in_prefect_and_has_one_driver_at_a_time(world):
    await started(world)
    world.set_spec(suspend=True)
    await world.work()
    world.set_spec(suspend=False)  # before the driver's grace period is over
    await world.work()
    assert world.api.names("Job") == []
    await world.pass_time(5)
    assert told(world) == ["Suspended"]
    assert len(live_drivers(world)) == 1
    world.nodes.end_driver(2)
    await world.pass_time(10)
    assert (world.status["state"], informed(world)) == ("Succeeded", ("True", "Told"))


@pytest.mark.parametrize("wait", ["suspended", "back-off"])
async def test_F24_a_run_cancelled_in_prefect_while_it_has_no_driver_ends_with_its_next_one(world, wait):
    await started(world, retryPolicy={"maxInfrastructureRetries": 3})
    if wait == "suspended":
        world.set_spec(suspend=True)
        await world.pass_time(8)
        world.set_spec(suspend=False)
    else:
        world.nodes.end_driver(1, "", 137)
    # The next driver finds the flow run Cancelled, or Cancelling, and says so (see the table in test_takeover.py).
    world.nodes.end_driver(2, message("CANCELLED", "FlowCancelled"), 1)
    await world.pass_time(30)
    assert (world.status["state"], len(world.status["attempts"])) == ("Cancelled", 2)
    assert informed(world)[0] == "True"
    assert end_state(world)["children"] == []


async def test_a_deadline_for_the_whole_run_ends_it_between_two_attempts(world):
    await started(world, activeDeadlineSeconds=20, retryPolicy={"maxInfrastructureRetries": 9})
    for attempt in (1, 2, 3, 4):
        world.nodes.end_driver(attempt, "", 137)
    await world.pass_time(40)
    assert (world.condition()["reason"], world.status["attempts"][-1]["reason"]) == ("DeadlineExceeded", "DriverKilled")
    assert told(world)[-1] == "FAILED"


async def test_the_pods_of_a_failed_run_are_kept_and_go_when_their_time_is_over(world):
    await started(world, deletionPolicy={"type": "KeepOnFailure", "keepSeconds": 60})
    world.nodes.end_driver(1, message("FAILED", "FlowFailed"), 1)
    await world.pass_time(30)
    assert world.status["state"] == "Failed"
    assert world.api.names("TaskCluster") == ["etl-1-default"]
    assert len([n for n in world.api.names("Pod") if "-w-" in n]) == 2
    await world.pass_time(40)
    assert end_state(world)["children"] == []
    assert [n for n in world.api.names("Pod") if "-w-" in n] == []


async def test_F14_what_is_kept_is_never_mended(world):
    await started(world, deletionPolicy={"type": "KeepOnFailure"})
    world.nodes.end_driver(1, "", 137)
    await world.pass_time(5)
    world.api.remove(world.api.objects["Pod", NAMESPACE, "etl-1-default-w-0"])
    world.api.remove(next(p for p in world.api.of("Pod") if "-w-" not in p["metadata"]["name"]))
    await world.pass_time(30)
    assert "etl-1-default-w-0" not in world.api.names("Pod")


async def test_F25_a_deleted_run_takes_along_what_is_kept(world):
    await started(world, deletionPolicy={"type": "KeepOnFailure"}, **MINE)
    world.nodes.end_driver(1, "", 137)
    await world.pass_time(5)
    world.api.remove(world.run)
    await world.pass_time(5)
    assert not world.api.objects


async def test_F24_a_user_who_cancels_and_suspends_a_finished_run_is_told_that_it_has_no_effect(world):
    await started(world)
    world.nodes.end_driver()
    await world.pass_time(10)
    world.set_spec(cancel=True)
    world.set_spec(suspend=True)
    await world.pass_time(5)
    assert world.status["state"] == "Succeeded"
    assert world.status["observedGeneration"] == world.run["metadata"]["generation"] == 3
    assert "no effect of spec.cancel and spec.suspend" in world.condition("DriverRunning")["message"]


async def test_F21_a_run_on_a_lost_node_gets_its_second_driver_when_the_first_is_gone_for_certain(world):
    await started(world, **RETRY)
    (driver,) = live_drivers(world)

    def lose(raw):
        ready = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]
        raw["status"]["conditions"] = ready
        raw["metadata"]["deletionTimestamp"] = "2026-11-22T12:05:00Z"

    doomed = {"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded", "message": "failed"}
    world.nodes.frozen = {driver}
    world.api.change("Job", NAMESPACE, "etl-1", lambda raw: raw.update(status={"conditions": [doomed]}))
    world.api.change("Pod", NAMESPACE, driver, lose)
    await world.pass_time(120)
    assert live_drivers(world) == [driver]
    assert world.condition("DriverRunning")["reason"] == "NodeUnreachable"
    world.api.remove(world.api.objects["Pod", NAMESPACE, driver])
    await world.pass_time(20)
    assert [name[:5] for name in live_drivers(world)] == ["etl-2"]
    assert [a.get("class") for a in world.status["attempts"]] == ["Infrastructure", None]


async def test_two_clusters_of_a_retried_run_share_nothing_with_its_first_attempt(monkeypatch):
    world = World(monkeypatch, replace(DEFAULTS, prefect_api_key_set=True), "hunter2")
    await started(world, clusters=[DASK_CLUSTER, {**DASK_CLUSTER, "name": "wide"}], **RETRY)
    world.nodes.end_driver(1, "", 137)
    await world.pass_time(15)
    assert world.api.names("TaskCluster") == ["etl-2-default", "etl-2-wide"]
