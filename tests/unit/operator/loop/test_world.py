"""The whole operator over an in-memory API server: order of events, faults, and the number of writes."""

import copy
from dataclasses import replace

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, NAMESPACE, raw_run
from operator_testing.stories import DONE, cancel_midway, end_state, play, play_on, suspend_and_resume
from operator_testing.world import World

from flowrun_operator.kube.errors import ApiError
from flowrun_operator.loop.keys import Key


async def test_a_run_becomes_job_then_task_cluster_then_service_and_workers(world):
    world.apply()
    await world.work()
    created = [w for w in world.api.writes if w.startswith("create")]
    assert created[:2] == ["create Job etl-1", "create TaskCluster etl-1-default"]
    assert sorted(created[2:]) == [
        "create Pod etl-1-default-w-0",
        "create Pod etl-1-default-w-1",
        "create Service etl-1-default",
    ]


async def test_a_run_succeeds_and_leaves_its_record_and_its_log(world):
    await play(world)
    assert end_state(world) == DONE
    assert world.errors == []


async def test_a_running_run_tells_its_clusters_and_its_flow_run(world):
    world.apply()
    await world.work()
    await world.pass_time(8)
    assert (world.status["state"], world.condition("ClustersReady")["status"]) == ("Running", "True")
    assert world.status["clusters"][0]["readyWorkers"] == 2
    assert world.status["flowRun"]["name"] == "etl"


async def test_I6_a_successful_run_costs_few_writes(world):
    await play(world)
    writes = [w for w in world.api.writes if not w.startswith("create Pod")]
    assert len(writes) <= 12, "\n".join(writes)


async def test_an_idle_operator_writes_nothing_and_comes_to_rest(world):
    world.apply()
    await world.work()
    await world.pass_time(8)
    world.api.writes.clear()
    await world.pass_time(60)
    assert world.api.writes == []


async def test_F03_a_restart_while_running_starts_no_second_driver(world):
    world.apply()
    await world.work()
    await world.pass_time(8)
    before = copy.deepcopy(world.status)
    world.start_operator()
    await world.work()
    await world.pass_time(5)
    assert world.api.names("Job") == ["etl-1"]
    assert world.status == before


async def test_F04_what_happened_while_the_operator_was_down_is_caught_up_with(world):
    world.apply(ttlSecondsAfterFinished=3600)
    await world.work()
    await world.pass_time(5)
    world.api.listeners.clear()
    world.nodes.end_driver()
    world.nodes.step()
    world.nodes.step()
    world.seconds += 1800
    world.start_operator()
    await world.work()
    await world.pass_time(5)
    assert end_state(world) == DONE
    world.seconds += 3600
    await world.work()
    assert world.api.of("FlowRun") == []


async def test_F10_a_conflict_on_the_status_is_decided_anew(world):
    world.apply()
    await world.work()
    await world.pass_time(5)

    def quietly(raw):
        raw["metadata"]["resourceVersion"] = "7777"

    listeners, world.api.listeners = world.api.listeners, []  # the watch lags behind
    world.api.change("FlowRun", NAMESPACE, "etl", quietly)
    world.nodes.end_driver()
    world.api.listeners = listeners
    await world.pass_time(1)
    assert world.errors
    assert all(error.conflict for error in world.errors)
    assert "completionTime" not in world.status
    world.api.change("FlowRun", NAMESPACE, "etl", lambda raw: None)  # the watch catches up
    await world.pass_time(20)
    assert world.status["state"] == "Succeeded"


@pytest.mark.parametrize("verb", ["create", "patch", "delete", "deletecollection"])
async def test_F12_an_api_that_fails_for_a_while_changes_nothing_in_the_end(world, verb):
    failures = iter(range(3))

    def fail_some(done: str, kind: str, name: str) -> ApiError | None:
        if done == verb and next(failures, None) is not None:
            return ApiError(500, "InternalError", "etcd is slow")
        return None

    world.api.refuse = fail_some
    await play(world)
    assert len(world.errors) >= 1
    assert end_state(world) == DONE


@pytest.mark.parametrize(("retries", "state", "reason"), [(0, "Failed", "DriverDeleted"), (1, "Running", "Running")])
async def test_F14_a_job_deleted_by_hand_ends_the_attempt(world, retries, state, reason):
    world.apply(retryPolicy={"maxInfrastructureRetries": retries})
    await world.work()
    await world.pass_time(5)
    world.api.remove(world.api.objects["Job", NAMESPACE, "etl-1"])
    await world.work()
    await world.pass_time(10)
    assert (world.status["state"], world.condition()["reason"]) == (state, reason)
    assert world.api.names("Job") == (["etl-2"] if retries else [])


async def test_F14_a_worker_deleted_by_hand_is_replaced(world):
    world.apply()
    await world.work()
    await world.pass_time(5)
    world.api.remove(world.api.objects["Pod", NAMESPACE, "etl-1-default-w-0"])
    await world.work()
    assert "etl-1-default-w-0" in world.api.names("Pod")


async def test_F14_a_service_deleted_by_hand_comes_back(world):
    world.apply()
    await world.work()
    await world.pass_time(5)
    world.api.remove(world.api.objects["Service", NAMESPACE, "etl-1-default"])
    await world.work()
    assert world.api.names("Service") == ["etl-1-default"]


@pytest.mark.parametrize(("kind", "name"), [("Job", "etl-1"), ("TaskCluster", "etl-1-default")])
async def test_F15_a_foreign_object_with_our_name_is_left_alone_and_said(world, kind, name):
    foreign = {"kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "labels": {}}, "spec": {}}
    world.api.listeners.clear()
    world.api.add(foreign)
    world.start_operator()
    world.apply()
    await world.work()
    await world.pass_time(6)
    type_ = "DriverRunning" if kind == "Job" else "ClustersReady"
    assert world.condition(type_)["reason"] == "NameConflict"
    assert "ownerReferences" not in world.api.objects[kind, NAMESPACE, name]["metadata"]
    world.api.remove(world.api.objects[kind, NAMESPACE, name])
    await world.pass_time(25)
    assert world.condition(type_)["status"] == "True", "it recovers alone"


@pytest.mark.parametrize("removed", ["app.kubernetes.io/managed-by", "flowrun.dev/run"])
async def test_F15_a_child_that_lost_its_labels_is_said_and_no_hot_loop(world, removed):
    world.apply()
    await world.work()
    await world.pass_time(3)
    key = ("Service", NAMESPACE, "etl-1-default")
    world.api.objects[key]["metadata"]["labels"].pop(removed)
    world.api.objects[key]["metadata"]["resourceVersion"] = "9999"
    raw = copy.deepcopy(world.api.objects[key])
    if removed == "flowrun.dev/run":
        world.cache.feed("Service", raw)
    else:  # to a watch with a label selector the object is deleted
        world.cache.forget("Service", raw)
    world.queue.put(Key("TaskCluster", NAMESPACE, "etl-1-default"))
    assert await world.work() < 5
    await world.pass_time(3)
    assert world.condition("ClustersReady")["reason"] == "LabelsLost"


async def test_F16_a_quota_on_jobs_is_said_within_seconds_and_recovers_alone(world):
    quota = ApiError(403, "Forbidden", 'jobs "etl-1" is forbidden: exceeded quota: team')
    world.api.refuse = lambda verb, kind, name: quota if (verb, kind) == ("create", "Job") else None
    world.apply()
    await world.work()
    await world.pass_time(2)
    assert (world.condition()["status"], world.condition()["reason"]) == ("Unknown", "QuotaExceeded")
    world.api.refuse = lambda verb, kind, name: None
    await play_on(world)
    assert world.status["state"] == "Succeeded"


async def test_F16_a_quota_on_worker_pods_is_said_in_the_runs_status(world):
    quota = ApiError(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: team')
    world.api.refuse = lambda verb, kind, name: quota if (verb, kind) == ("create", "Pod") else None
    world.apply()
    await world.work()
    await world.pass_time(3)
    assert world.condition("ClustersReady")["reason"] == "QuotaExceeded"


async def test_F22_a_lost_worker_is_counted_and_replaced(world):
    world.apply()
    await world.work()
    await world.pass_time(5)
    lose(world, "etl-1-default-w-1")
    await world.pass_time(5)
    (cluster,) = world.api.of("TaskCluster")
    assert cluster["status"]["lostWorkers"] == 1
    assert len([n for n in world.api.names("Pod") if "-w-" in n]) == 2


def lose(world: World, name: str) -> None:
    status = {"phase": "Failed", "reason": "Evicted", "message": "node drained"}
    world.api.change("Pod", NAMESPACE, name, lambda raw: raw.update(status=status))


async def test_F24_a_cancelled_run_loses_everything_within_seconds(world):
    await cancel_midway(world)
    assert (world.status["state"], world.condition()["reason"]) == ("Cancelled", "Cancelled")
    assert world.api.names("Pod") == []
    assert world.api.names("Job") == []
    assert [what for _, what in world.prefect.reports] == ["CANCELLING", "CANCELLED"]
    assert world.condition("PrefectInformed")["status"] == "True"


async def test_F23_a_suspended_run_frees_its_pods_and_goes_on_with_a_new_attempt(world):
    await suspend_and_resume(world)
    assert [(a["number"], a["reason"]) for a in world.status["attempts"]] == [(1, "Stopped"), (2, "FlowCompleted")]
    assert world.status["state"] == "Succeeded"


@pytest.mark.parametrize("after_s", [0, 5])
async def test_F25_a_deleted_run_leaves_nothing(world, after_s):
    world.apply()
    await world.work()
    await world.pass_time(after_s)
    world.api.remove(world.run)
    await world.work()
    await world.pass_time(5)
    assert not world.api.objects


async def test_F25_a_run_created_anew_under_the_same_name_waits_for_the_old_children(world):
    world.apply()
    await world.work()
    await world.pass_time(5)
    job = copy.deepcopy(world.api.objects["Job", NAMESPACE, "etl-1"])
    world.api.objects.pop(("FlowRun", NAMESPACE, "etl"))  # the collector has not come by yet
    world.cache.forget("FlowRun", world.cache.get("FlowRun", NAMESPACE, "etl"))
    world.apply()
    await world.work()
    assert world.api.objects["Job", NAMESPACE, "etl-1"]["metadata"]["uid"] == job["metadata"]["uid"]
    world.api.remove(job)
    await world.work()
    await world.pass_time(5)
    assert world.api.objects["Job", NAMESPACE, "etl-1"]["metadata"]["uid"] != job["metadata"]["uid"]
    assert world.status["state"] == "Running"


async def test_F28_a_killed_drivers_end_is_told_to_prefect_before_its_successor_starts(world):
    await play(world, end="", exit_code=137, retryPolicy={"maxInfrastructureRetries": 1})
    uid = world.run["metadata"]["uid"]
    assert world.prefect.reports == [(f"flowrun-{uid}", "AwaitingRetry")]
    assert [(a["number"], a["reason"]) for a in world.status["attempts"]] == [
        (1, "DriverKilled"),
        (2, "FlowCompleted"),
    ]


async def test_F30_a_poisoned_run_does_not_stop_the_others(world):
    poison = raw_run("poison", spec={"flow": {"entrypoint": 5}, "env": [{"name": "A", "value": "hunter2"}]}, uid="")
    world.api.add(poison)
    world.api.add(raw_run("odd", status={"attempts": "none"}, annotations={"a": "x" * 200_000}, uid=""))
    world.apply()
    await play_on(world)
    assert world.status["state"] == "Succeeded"
    assert len(world.errors) < 12, "it is tried again ever more slowly"
    (said,) = world.api.objects["FlowRun", NAMESPACE, "poison"]["status"]["conditions"]
    assert (said["status"], said["reason"]) == ("Unknown", "Unreadable")
    assert "spec.flow.entrypoint" in said["message"]
    assert "hunter2" not in said["message"]
    assert world.api.objects["FlowRun", NAMESPACE, "odd"]["status"] == {"attempts": "none"}, "a result may be in it"


async def test_the_prefect_key_is_sent_and_never_decided_on(monkeypatch):
    world = World(monkeypatch, replace(DEFAULTS, prefect_api_key_set=True), "hunter2")
    world.apply()
    await world.work()
    (secret,) = world.api.of("Secret")
    assert secret["stringData"] == {"api-key": "hunter2"}
    rest = [o for (kind, _, _), o in world.api.objects.items() if kind != "Secret"]
    assert "hunter2" not in repr(rest)


async def test_I1_two_clusters_are_both_removed(world):
    await play(world, clusters=[DASK_CLUSTER, {**DASK_CLUSTER, "name": "wide"}])
    assert world.api.names("TaskCluster") == []
    assert end_state(world)["pods"] == ["driver"]
