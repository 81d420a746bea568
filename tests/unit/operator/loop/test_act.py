import asyncio

import aiohttp
import pytest
from operator_testing.builders import NAMESPACE, NOW, RUN_UID, raw_pod, rfc
from operator_testing.fake_api import FakeApi
from operator_testing.faults import Fault, Request, conflict, too_many
from operator_testing.settle import settle
from operator_testing.world import FakePrefect

from flowrun_api.contract import ResultType
from flowrun_api.kinds.flowrun import PrefectFlowRun
from flowrun_operator.build.labels import labels, owner
from flowrun_operator.decide.plan import (
    AnnounceCancel,
    Create,
    Delete,
    DeleteWorkers,
    DropReport,
    EndSidecars,
    Explain,
    LookUpFlowRun,
    ReportToPrefect,
    Scale,
    Waiting,
)
from flowrun_operator.kube.errors import ApiError
from flowrun_operator.loop.act import Actor
from flowrun_operator.loop.cache import Cache
from flowrun_operator.loop.refusals import Refusals
from flowrun_operator.model import Problem

QUOTA = ApiError(403, "Forbidden", "exceeded quota: team")


def job(uid: str = RUN_UID) -> dict:
    metadata = {
        "name": "etl-1",
        "namespace": NAMESPACE,
        "labels": labels("etl", 1, role="driver"),
        "ownerReferences": owner("FlowRun", "etl", uid),
    }
    return {"kind": "Job", "metadata": metadata, "spec": {}}


CREATE = Create(job(), RUN_UID)


class Stage:
    """An Actor and all that it touches."""

    def __init__(self) -> None:
        self.now = 0.0
        self.api, self.prefect = FakeApi(), FakePrefect()
        self.cache = Cache(Refusals(lambda: self.now))
        self.actor = Actor(self.api, self.prefect, self.cache, "hunter2")

    async def act(self, *actions) -> bool:
        done = await self.actor.carry_out(actions, NAMESPACE, RUN_UID)
        await asyncio.sleep(0)
        return done

    def fail(self, error: ApiError) -> None:
        self.api.refuse = lambda verb, kind, name: error

    def problem(self, name: str = "etl-1") -> Problem | None:
        return self.cache.problems.get((NAMESPACE, name))


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_created_object_is_known_at_once(stage):
    assert await stage.act(CREATE)
    assert stage.cache.get("Job", NAMESPACE, "etl-1")["metadata"]["uid"]


async def test_F02_create_retried_after_lost_response_adopts_its_own_child(stage):
    stage.api.lose_response_of = 1
    with pytest.raises(ApiError):
        await stage.act(CREATE)
    assert await stage.act(CREATE)
    assert stage.cache.get("Job", NAMESPACE, "etl-1") is not None
    assert len(stage.api.of("Job")) == 1


async def test_F15_a_foreign_object_is_never_adopted(stage):
    stage.api.add(job("somebody-else"))
    assert not await stage.act(CREATE)
    assert stage.problem().reason == "NameConflict"
    assert stage.cache.get("Job", NAMESPACE, "etl-1") is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QUOTA, "QuotaExceeded"),
        (ApiError(403, "Forbidden", 'violates PodSecurity "restricted:latest"'), "PodSecurityViolation"),
        (ApiError(403, "Forbidden", 'User "x" cannot create resource "jobs"'), "Forbidden"),
        (ApiError(422, "Invalid", "spec.template.spec.containers[0].image: Required value"), "Invalid"),
        (ApiError(400, "", "admission webhook denied the request"), "PolicyDenied"),
    ],
    ids=["quota", "pod security", "rights (F13)", "invalid", "webhook"],
)
async def test_F16_a_refusal_becomes_a_problem_that_users_see(stage, error, reason):
    stage.fail(error)
    assert not await stage.act(CREATE)
    assert stage.problem() == Problem(reason, error.message)


@pytest.mark.parametrize("status", [403, 404, 409, 422])
async def test_a_pod_whose_sidecars_cannot_be_ended_holds_nothing_up(stage, status):
    # An older chart's rights; the pod is gone; another one has its name.
    stage.fail(ApiError(status, "Reason", "why"))
    assert await stage.act(EndSidecars("etl-1-abcde", "pod-1"))


async def test_F13_a_problem_is_forgotten_when_the_create_succeeds(stage):
    stage.fail(QUOTA)
    await stage.act(CREATE)
    stage.api.refuse = lambda *_: None
    assert not await stage.act(CREATE), "not asked again at once (I6)"
    stage.now += 2
    assert await stage.act(CREATE)
    assert stage.problem() is None


@pytest.mark.parametrize(
    "error",
    [
        ApiError(500, "InternalError", "etcd"),
        ApiError(429, "TooManyRequests", ""),
        ApiError(0, "Unreachable", ""),
        ApiError(409, "Conflict", "Operation cannot be fulfilled on resourcequotas"),
        ApiError(500, "InternalError", "failed calling webhook: context deadline exceeded"),
    ],
    ids=["500", "429 (F11)", "unreachable", "quota was being updated", "webhook timed out (F17)"],
)
async def test_F12_a_failure_that_is_not_the_users_is_raised_to_be_tried_again(stage, error):
    stage.fail(error)
    with pytest.raises(ApiError):
        await stage.act(CREATE)
    assert stage.problem() is None


async def test_F12_one_failure_does_not_keep_the_other_creates_from_being_known(stage):
    second = job()
    second["metadata"]["name"] = "etl-2"
    stage.api.refuse = lambda verb, kind, name: ApiError(500, "", "") if name == "etl-1" else None
    with pytest.raises(ApiError):
        await stage.act(CREATE, Create(second, RUN_UID))
    assert stage.cache.get("Job", NAMESPACE, "etl-2") is not None


async def test_I5_the_secret_gets_the_key_where_it_is_sent_and_the_plan_never_holds_it(stage):
    manifest = {
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": NAMESPACE},
        "stringData": {"api-key": ""},
    }
    assert await stage.act(Create(manifest, RUN_UID))
    assert stage.api.of("Secret")[0]["stringData"] == {"api-key": "hunter2"}
    assert manifest["stringData"] == {"api-key": ""}
    assert stage.cache.get("Secret", NAMESPACE, "s") is None
    assert await stage.act(Create(manifest, RUN_UID)), "one that exists is as good"


async def test_I5_a_clusters_token_is_made_where_it_is_sent_and_is_never_the_same(stage):
    for name in ("a", "b"):
        metadata = {"name": name, "namespace": NAMESPACE}
        await stage.act(Create({"kind": "Secret", "metadata": metadata, "stringData": {"token": ""}}, RUN_UID))
    first, second = (secret["stringData"]["token"] for secret in stage.api.of("Secret"))
    assert len(first) >= 32
    assert first != second
    assert "hunter2" not in first


async def test_F02_an_object_that_nobody_watches_is_adopted_by_its_owner(stage):
    manifest = {"kind": "Role", "metadata": {**job()["metadata"], "name": "r"}, "rules": []}
    stage.api.add(manifest)
    assert await stage.act(Create(manifest, RUN_UID))
    assert not await stage.act(Create(manifest, "another run"))
    assert stage.problem("r").reason == "NameConflict"


async def test_scaling_spares_an_object_that_has_changed_since(stage):
    metadata = {"name": "lab", "namespace": NAMESPACE}
    stage.api.add({"kind": "TaskCluster", "metadata": metadata, "spec": {"workers": {"replicas": 2}}})
    version = stage.api.of("TaskCluster")[0]["metadata"]["resourceVersion"]
    stage.api.change("TaskCluster", NAMESPACE, "lab", lambda raw: raw["spec"]["workers"].update(replicas=3))
    with pytest.raises(ApiError):
        await stage.act(Scale("lab", 0, version))
    await stage.act(Scale("lab", 0, stage.api.of("TaskCluster")[0]["metadata"]["resourceVersion"]))
    assert stage.api.of("TaskCluster")[0]["spec"]["workers"]["replicas"] == 0


async def test_what_has_no_uid_is_deleted_by_its_name(stage):
    stage.api.add({"kind": "Role", "metadata": {"name": "r", "namespace": NAMESPACE}})
    assert await stage.act(Delete("Role", "r"), Delete("Role", "never made"))
    assert stage.api.of("Role") == []


async def test_a_deleted_object_is_no_longer_known(stage):
    await stage.act(CREATE)
    uid = stage.api.of("Job")[0]["metadata"]["uid"]
    assert await stage.act(Delete("Job", "etl-1", uid))
    assert stage.cache.get("Job", NAMESPACE, "etl-1") is None


async def test_a_pod_that_goes_gracefully_is_known_as_going(stage):
    stage.api.add(raw_pod(phase="Running"))
    stage.cache.feed("Pod", stage.api.of("Pod")[0])
    await stage.act(Delete("Pod", "etl-1-abcde", "pod-1"))
    assert stage.cache.get("Pod", NAMESPACE, "etl-1-abcde")["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize(
    "error", [ApiError(404, "NotFound", ""), ApiError(409, "Conflict", "uid")], ids=["gone", "another object by now"]
)
async def test_F14_deleting_what_is_gone_is_fine(stage, error):
    await stage.act(CREATE)
    ours = stage.api.of("Job")[0]
    stage.api.remove(ours)
    if error.conflict:
        stage.api.add(job())
    stage.fail(error)
    assert await stage.act(Delete("Job", "etl-1", ours["metadata"]["uid"]))
    assert stage.cache.get("Job", NAMESPACE, "etl-1") is None


async def test_F10_a_conflict_does_not_make_an_object_gone(stage):
    await stage.act(CREATE)
    stage.fail(ApiError(409, "Conflict", "the object has been modified"))
    with pytest.raises(ApiError):
        await stage.act(Delete("Job", "etl-1", stage.api.of("Job")[0]["metadata"]["uid"]))
    assert stage.cache.get("Job", NAMESPACE, "etl-1") is not None


async def test_F11_a_conflict_that_could_not_be_looked_into_waits_as_the_server_asks(stage):
    class Throttling(Fault):
        def request(self, request: Request) -> None:
            raise conflict() if request.is_write else too_many(9)

    await stage.act(CREATE)
    stage.api.fault = Throttling()
    with pytest.raises(ApiError) as caught:
        await stage.act(Delete("Job", "etl-1", stage.api.of("Job")[0]["metadata"]["uid"]))
    assert caught.value.retry_after_s == 9


async def test_F11_of_many_failures_the_longest_wait_that_is_asked_for_counts(stage):
    waits = {"a": 0.0, "b": 2.0, "c": 9.0, "d": 1.0}
    stage.api.refuse = lambda verb, kind, name: too_many(waits[name])
    with pytest.raises(ApiError) as caught:
        await stage.act(*(Delete("Job", name, "u") for name in waits))
    assert caught.value.retry_after_s == 9


async def test_F12_a_delete_that_fails_is_never_swallowed(stage):
    stage.fail(ApiError(503, "ServiceUnavailable", ""))
    with pytest.raises(ApiError):
        await stage.act(Delete("Job", "etl-1", "u"))


async def test_a_delete_of_a_predecessor_leaves_the_successor_known(stage):
    await stage.act(CREATE)
    await stage.act(Delete("Job", "etl-1", "an-older-uid"))
    assert stage.cache.get("Job", NAMESPACE, "etl-1") is not None
    assert stage.api.of("Job")


async def test_workers_are_deleted_in_one_request_and_known_as_going(stage):
    for index in range(3):
        stage.api.add(
            raw_pod(
                name=f"w-{index}",
                uid=f"w-{index}",
                phase="Running",
                labels=labels("etl", 1, role="worker", cluster="c"),
            )
        )
    stage.api.add(raw_pod(name="driver", uid="d", phase="Running", labels=labels("etl", 1, role="driver")))
    for pod in stage.api.of("Pod"):
        stage.cache.feed("Pod", pod)
    await stage.act(DeleteWorkers("etl", 1))
    assert stage.api.writes == ["deletecollection Pod *"]
    going = [p["metadata"]["name"] for p in stage.cache.all("Pod") if p["metadata"].get("deletionTimestamp")]
    assert sorted(going) == ["w-0", "w-1", "w-2"]


async def test_explain_keeps_what_the_events_say(stage):
    event = {"involvedObject": {"uid": "u"}, "type": "Warning", "reason": "FailedMount", "message": "no config map"}
    stage.api.events = [event]
    await stage.act(Explain("u"), Explain("other"))
    assert stage.cache.explanations == {"u": Problem("FailedMount", "no config map")}
    stage.api.events = []
    await stage.act(Explain("u"))
    assert stage.cache.explanations, "it is too early to ask again"
    stage.now += 3.5
    await stage.act(Explain("u"))
    assert stage.cache.explanations == {}, "it is over"


async def test_events_are_read_ever_more_seldom(stage):
    asked = []
    for stage.now in range(200):
        before = len(stage.api.requests)
        await stage.act(Explain("u"))
        asked += [stage.now] * (len(stage.api.requests) - before)
    assert asked == [0, 3, 9, 21, 45, 93, 153]


def fail(error: ApiError) -> None:
    raise error


async def test_events_that_cannot_be_read_hold_up_nothing(stage):
    stage.api.fault.request = lambda _: fail(ApiError(403, "Forbidden", "no right to list events"))
    assert await stage.act(Explain("u"))
    assert stage.cache.explanations == {}


LOOK_UP = LookUpFlowRun(1, "http://p/api")


async def test_a_look_up_feeds_the_cache(stage):
    await stage.act(LOOK_UP)
    assert stage.cache.flow_runs[RUN_UID][1].id == f"id-of-flowrun-{RUN_UID}"


async def test_F28_a_slow_prefect_holds_up_nobody_and_is_asked_once_at_a_time(stage):
    asked = []
    answer = asyncio.Event()

    async def find(api_url: str, key: str) -> PrefectFlowRun:
        asked.append(key)
        await answer.wait()
        return PrefectFlowRun(id="late")

    stage.prefect.find = find
    await asyncio.wait_for(stage.act(LOOK_UP), 20)
    await asyncio.wait_for(stage.act(LOOK_UP), 20)
    assert len(asked) == 1
    answer.set()
    await settle()
    assert stage.cache.flow_runs[RUN_UID][1].id == "late"


async def test_F28_a_prefect_that_is_down_is_asked_again_next_time(stage):
    async def find(api_url: str, key: str) -> None:
        raise aiohttp.ClientConnectionError("down")

    stage.prefect.find, works = find, stage.prefect.find
    assert await stage.act(LOOK_UP)
    stage.prefect.find = works
    await stage.act(LOOK_UP)
    assert stage.cache.flow_runs[RUN_UID][1]


REPORT = ReportToPrefect(1, "http://p/api", ResultType.CRASHED, "killed")


async def test_F28_a_report_that_prefect_did_not_hear_is_made_again_when_asked_for_ever_more_seldom(stage):
    stage.prefect.down = True
    await stage.act(REPORT)
    await asyncio.sleep(0)
    assert stage.cache.told == {}
    stage.prefect.down = False
    await stage.act(REPORT)
    assert stage.prefect.reports == [], "too early"
    stage.now += 2
    await stage.act(REPORT)
    await asyncio.sleep(0)
    assert stage.prefect.reports == [(f"flowrun-{RUN_UID}", "CRASHED")]
    assert stage.cache.told == {RUN_UID: "1-CRASHED"}


async def test_F28_a_slow_report_is_made_once_at_a_time_and_let_go_when_the_next_driver_starts(stage):
    begun, answer = [], asyncio.Event()

    async def report(api_url: str, key: str, attempt: int, name: str, message: str) -> None:
        begun.append(name)
        await answer.wait()

    stage.prefect.report_wait = report
    waiting = ReportToPrefect(1, "http://p/api", Waiting.AWAITING_RETRY, "killed")
    await asyncio.wait_for(stage.act(waiting, waiting), 20)
    assert begun == ["AwaitingRetry"]
    await stage.act(DropReport())
    answer.set()
    await settle()
    assert stage.cache.told == {}


@pytest.mark.parametrize("error", [aiohttp.ClientConnectionError("down"), TimeoutError()], ids=["down", "slow"])
async def test_F28_a_cancellation_goes_on_if_prefect_does_not_hear_of_it(stage, error):
    async def announce(api_url: str, key: str) -> None:
        raise error

    stage.prefect.announce_cancel = announce
    assert await stage.act(AnnounceCancel("http://p/api"))


async def test_a_pod_marked_as_going_is_overwritten_by_the_next_event(stage):
    raw = raw_pod(name="w", uid="w", phase="Running", labels=labels("etl", 1, role="worker"))
    stage.api.add(raw)
    stage.cache.feed("Pod", stage.api.of("Pod")[0])
    await stage.act(DeleteWorkers("etl", 1))
    newer = raw_pod(name="w", uid="w", phase="Running", resourceVersion="9999", deletionTimestamp=rfc(NOW))
    assert stage.cache.feed("Pod", newer)
