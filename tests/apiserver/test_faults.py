"""The real operator against the real API server, with faults between them."""

import asyncio
import copy
import json
import os
import ssl
import time

import pytest
from aiohttp import web
from apiserver_testing.api import path_of
from apiserver_testing.control_plane import free_port
from apiserver_testing.lane import DONE, Lane, Point
from apiserver_testing.proxy import Call, DroppedError, ProxyFault, error
from apiserver_testing.stories import STORIES, success

from flowrun_operator.observe.fields import label

pytestmark = pytest.mark.timeout(240)
every_story = pytest.mark.parametrize("name", STORIES)
_LANES = 5
# A point costs seconds here, and the simulated API has had them all: by default every eighth, more of one scenario.
_ALL = bool(os.environ.get("FLOWRUN_ALL_FAULTS"))
_references: dict = {}


async def reference(lane: Lane, name: str):
    """Return what the story is like without a fault, played once."""
    if name not in _references:
        lane.ensure_operator()
        point = Point(lane, ProxyFault())
        await STORIES[name](lane)
        _references[name] = await point.check(None)
    return _references[name]


async def play(lane: Lane, name: str, fault: ProxyFault) -> float:
    """Play a story with a fault and return the time to clean in seconds."""
    clean = await reference(lane, name)
    point = Point(lane, fault)
    await STORIES[name](lane)
    await point.check(clean)
    return point.oracle.time_to_clean_s or 0.0


async def play_at_every_write(new_lane, name: str, fault_of, record_property) -> None:
    """Play the story once for each of its writes, in a few lanes at once."""
    stride = 1 if _ALL else 2 if name == "success" and fault_of is KilledAfter else 8
    first = await new_lane()
    writes = (await reference(first, name)).writes
    points = list(range(1, writes + 1, stride))
    tries = len(points)
    slowest = 0.0

    async def work(lane: Lane) -> None:
        nonlocal slowest
        while points:
            k = points.pop(0)
            lane.ensure_operator()
            try:
                slowest = max(slowest, await play(lane, name, fault_of(lane, k)))
            except AssertionError as broken:
                raise AssertionError(f"write {k}: {broken}") from broken

    await asyncio.gather(*(work(lane) for lane in [first, *[await new_lane() for _ in range(_LANES - 1)]]))
    record_property("tries", tries)
    record_property("clean_s", slowest)


class KilledAfter(ProxyFault):
    """The operator is killed when its k-th write has been carried out; a new one starts at once."""

    def __init__(self, lane: Lane, k: int) -> None:
        self.lane, self.k = lane, k

    async def after(self, call: Call) -> None:
        if call.number == self.k:
            self.k = -1
            self.lane.kill_operator()
            self.lane.start_operator()
            raise DroppedError


class LostAnswer(ProxyFault):
    def __init__(self, _: Lane, k: int) -> None:
        self.k = k

    async def after(self, call: Call) -> None:
        if call.number == self.k:
            raise DroppedError


@every_story
async def test_F01_an_operator_killed_after_any_write_comes_to_the_same_end(new_lane, name, record_property):
    await play_at_every_write(new_lane, name, KilledAfter, record_property)


@every_story
async def test_F02_a_write_whose_answer_is_lost_comes_to_the_same_end(new_lane, name, record_property):
    await play_at_every_write(new_lane, name, LostAnswer, record_property)


class EachOnce(ProxyFault):
    """Every kind of write, to every kind of object, is first answered with one of these errors."""

    def __init__(self, *answers) -> None:
        self.answers, self.seen = answers, set()

    async def before(self, call: Call) -> web.Response | None:
        if not call.is_write:
            return None
        what = (call.method, call.path.split("/")[-2 if call.method in {"PATCH", "DELETE"} else -1])
        if what in self.seen:
            return None
        self.seen.add(what)
        return self.answers[len(self.seen) % len(self.answers)]()


@every_story
async def test_F10_a_conflict_on_every_kind_of_write_is_decided_anew(lane, name, record_property):
    fault = EachOnce(lambda: error(409, "Conflict"))
    await play(lane, name, fault)
    record_property("tries", len(fault.seen))


@every_story
async def test_F12_writes_that_the_server_fails_are_repeated(lane, name, record_property):
    fault = EachOnce(*[lambda code=code: error(code, "InternalError") for code in (500, 503, 504)])
    await play(lane, name, fault)
    record_property("tries", len(fault.seen))


async def test_F12_a_server_that_does_not_answer_in_time_is_asked_again(lane, monkeypatch):
    class Silent(ProxyFault):
        silent = 1

        async def before(self, call: Call) -> None:
            if call.is_write and self.silent:
                self.silent -= 1
                await asyncio.sleep(16)  # longer than the operator's time-out of 15 s
                raise DroppedError

    await play(lane, "success", Silent())


class Throttled(EachOnce):
    """429 with Retry-After; who comes back too early is noted."""

    def __init__(self, namespace: str) -> None:
        super().__init__(lambda: error(429, "TooManyRequests", retry_after_s=1))
        self.namespace = namespace
        self.not_before, self.too_early = {}, []

    async def before(self, call: Call) -> web.Response | None:
        asked = (call.method, call.path)
        if time.monotonic() < self.not_before.get(asked, 0.0):
            self.too_early.append(asked)
        answer = await super().before(call)
        # Several pods or Secrets are created at once, and their path does not tell them apart.
        several = [("POST", path_of(kind, self.namespace)) for kind in ("Pod", "Secret")]
        if answer is not None and asked not in several:
            self.not_before[asked] = time.monotonic() + 1
        return answer


async def test_F11_a_throttled_operator_comes_to_the_same_end_and_repeats_nothing_too_early(lane, record_property):
    fault = Throttled(lane.namespace)
    await play(lane, "success", fault)
    assert fault.too_early == []
    record_property("tries", len(fault.seen))


async def test_F06_an_operator_that_starts_from_an_old_list_does_no_harm(lane, record_property):
    class OldLists(ProxyFault):
        def __init__(self) -> None:
            self.kept, self.replay, self.replayed = {}, False, 0

        def body(self, call: Call, data: bytes) -> bytes:
            if self.replay and call.path in self.kept:
                self.replayed += 1
                return self.kept.pop(call.path)
            self.kept.setdefault(call.path, data)
            return data

    await reference(lane, "success")
    lane.kill_operator()
    fault = OldLists()
    point = Point(lane, fault)
    lane.start_operator()
    await lane.apply()
    await lane.wait(lane.running, "the driver runs")
    lane.kill_operator()
    fault.replay = True  # lists of a time at which the run was not there
    lane.start_operator()
    lane.ends["1"] = DONE
    await lane.wait(lane.finished, "the run ends")
    await lane.wait(lane.clean, "the workers are gone")
    assert fault.replayed
    await point.check(_references["success"])
    record_property("tries", fault.replayed)


@pytest.mark.parametrize("fate", ["the last of them", "all but the first"])
async def test_F07_lost_events_of_pods_are_made_good(lane, fate, record_property):
    """A watch that is cut afterwards lists anew, so nothing has to wait for the resync."""

    class Deaf(ProxyFault):
        lost = 0
        deaf = False

        def event(self, call: Call, line: bytes) -> bytes:
            if not (self.deaf and call.path.endswith("/pods")):
                return line
            self.lost += 1
            return b""

    await reference(lane, "success")
    fault = Deaf()
    point = Point(lane, fault)
    fault.deaf = fate == "all but the first"
    await lane.apply()
    if not fault.deaf:
        await lane.wait(lane.running, "the driver runs")
    else:
        await lane.wait(lambda: len(lane.api.of("Pod")) == 3, "pods are there")
    fault.deaf = True
    lane.ends["1"] = DONE
    await lane.wait(lambda: fault.lost >= 1 and lane.api.of("Job")[0].get("status", {}).get("conditions"), "it ended")
    fault.deaf = False
    lane.proxy.close_watches()
    await lane.wait(lane.finished, "the run ends")
    await lane.wait(lane.clean, "the workers are gone")
    await point.check(_references["success"])
    record_property("tries", fault.lost)


@every_story
async def test_F08_watches_that_are_cut_all_the_time_change_no_end(lane, name, record_property):
    await reference(lane, name)
    cuts = 0

    async def cut() -> None:
        nonlocal cuts
        while True:
            await asyncio.sleep(0.4)
            lane.proxy.close_watches()
            cuts += 1

    cutting = asyncio.create_task(cut())
    try:
        await play(lane, name, ProxyFault())
    finally:
        cutting.cancel()
    record_property("tries", cuts)


async def test_F08_a_watch_that_is_too_old_lists_anew(lane, record_property):
    class Gone(ProxyFault):
        def __init__(self) -> None:
            self.told = set()

        async def before(self, call: Call) -> web.Response | None:
            if not call.is_watch or call.path in self.told:
                return None
            self.told.add(call.path)
            status = {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"}
            return web.Response(body=json.dumps({"type": "ERROR", "object": status}) + "\n")

    await reference(lane, "success")
    fault = Gone()
    point = Point(lane, fault)
    lane.proxy.close_watches()
    await lane.wait(lambda: len(fault.told) == 5, "every watch was told 410")
    await success(lane)
    await point.check(_references["success"])
    record_property("tries", len(fault.told))


async def test_F09_nothing_but_bookmarks_leads_to_no_new_watch(lane, record_property):
    await reference(lane, "success")
    await lane.wait(lambda: len(lane.proxy.watches) == 5, "the operator watches")
    before = dict(lane.proxy.watches)
    version = (await lane.user.must("GET", path_of("FlowRun", lane.namespace)))["metadata"]["resourceVersion"]
    for _ in range(20):
        await lane.proxy.say({"type": "BOOKMARK", "object": {"kind": "X", "metadata": {"resourceVersion": version}}})
        await asyncio.sleep(0.1)
    assert lane.proxy.watches == before
    await play(lane, "success", ProxyFault())
    record_property("tries", 20)


async def test_F13_a_right_that_is_missing_is_said_and_its_return_is_enough(lane, user, plane):
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/operator"
    await reference(lane, "success")
    rights = (await user.must("GET", path))["rules"]
    point = Point(lane, ProxyFault())
    without = [{**rule, "verbs": [v for v in rule["verbs"] if v != "create"]} for rule in rights]
    await user.must("PATCH", path, {"rules": without})
    try:
        await asyncio.sleep(0.5)  # the authorizer learns of it by a watch
        await lane.apply()
        await lane.wait(lambda: lane.condition().get("reason") == "Forbidden", "it is said")
    finally:
        await user.must("PATCH", path, {"rules": rights})
    await lane.wait(lane.running, "the driver runs")
    lane.ends["1"] = DONE
    await lane.wait(lane.finished, "the run ends")
    await lane.wait(lane.clean, "the workers are gone")
    await point.check(None)


async def test_F17_a_webhook_that_times_out_makes_no_duplicates(lane, user, plane):
    asked = []

    async def review(request: web.Request) -> web.Response:
        uid = (await request.json())["request"]["uid"]
        asked.append(uid)
        if len(asked) <= 2:
            await asyncio.sleep(3)
        answer = {"uid": uid, "allowed": True}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    await reference(lane, "success")
    cert, key = plane.certificate("webhook")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    app = web.Application()
    app.router.add_post("/", review)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    point = Point(lane, ProxyFault())
    await user.must("POST", path, _webhook(lane.namespace, port, cert.read_text()))
    try:
        await asyncio.sleep(0.5)
        await success(lane)
        await point.check(None)
    finally:
        await user.call("DELETE", f"{path}/slow")
        await runner.cleanup()
    assert len(asked) >= 2, "the webhook was asked again"


def _webhook(namespace: str, port: int, certificate: str) -> dict:
    import base64

    return {
        "metadata": {"name": "slow"},
        "webhooks": [
            {
                "name": "slow.flowrun.test",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/",
                    "caBundle": base64.b64encode(certificate.encode()).decode(),
                },
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "objectSelector": {"matchLabels": {"flowrun.dev/role": "worker"}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 1,
                "failurePolicy": "Fail",
            }
        ],
    }


@pytest.mark.parametrize("skew_s", [-300, 300])
async def test_F27_a_wrong_clock_of_the_operator_changes_no_end(new_lane, skew_s):
    lane = await new_lane()
    lane.skew_s = skew_s
    lane.start_operator()
    point = Point(lane, ProxyFault())
    await success(lane)
    await point.check(None)


async def test_F29_the_crd_of_a_later_version_comes_and_goes_while_a_run_is_active(lane, user):
    """An upgrade changes the CRDs before the operator, a downgrade after it: either way this one meets later fields."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/flowruns.flowrun.dev"
    clean = await reference(lane, "success")
    spec = (await user.must("GET", path))["spec"]
    later = copy.deepcopy(spec)
    fields = later["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    fields["spec"]["properties"]["later"] = {"type": "string", "default": "x"}
    fields["status"]["properties"]["later"] = {"type": "integer"}
    point = Point(lane, ProxyFault())
    await lane.apply()
    await lane.wait(lane.running, "the driver runs")
    etl = path_of("FlowRun", lane.namespace, "etl")

    async def stored() -> dict:
        """As it is: a watch from before the change may show the fields of then."""
        return await user.must("GET", etl)

    try:
        await user.must("PATCH", path, {"spec": later})
        while (await user.must("PATCH", f"{etl}/status", {"status": {"later": 7}}))["status"].get("later") != 7:
            await asyncio.sleep(0.1)  # the schema is not in force yet
        lane.kill_operator()
        lane.start_operator()
        changed = await user.must("PATCH", etl, {"spec": {"ttlSecondsAfterFinished": 600}})
        async with asyncio.timeout(45):
            while (await stored())["status"].get("observedGeneration") != changed["metadata"]["generation"]:
                await asyncio.sleep(0.1)
        assert (await stored())["spec"]["later"] == "x"
    finally:
        await user.must("PATCH", path, {"spec": spec})
    while "later" in (await stored())["spec"]:
        await asyncio.sleep(0.1)
    await lane.watch()
    lane.kill_operator()
    lane.start_operator()
    lane.ends["1"] = DONE
    await lane.wait(lane.finished, "the run ends")
    await lane.wait(lane.clean, "the workers are gone")
    await point.check(clean)


async def test_F30_one_poisoned_run_among_many_stops_none_of_them(lane, record_property):
    point, many = Point(lane, ProxyFault()), 200 if _ALL else 60
    lane.ends["1"] = DONE
    poison = {"driver": {"podTemplate": {"spec": {"containers": "no list", "volumes": 5}}}}
    await lane.apply("poison", clusters=[], **poison)
    started = time.monotonic()
    for start in range(0, many, 20):
        await asyncio.gather(*(lane.apply(f"run-{n}", clusters=[]) for n in range(start, start + 20)))

    def ended() -> int:
        return sum(1 for run in lane.api.of("FlowRun") if (run.get("status") or {}).get("state") == "Succeeded")

    await lane.wait(lambda: ended() == many, "all good runs succeed", 120)
    took_s = time.monotonic() - started
    assert point.oracle.broken == []
    runs = [label(job, "flowrun.dev/run") for job in lane.api.of("Job")]
    assert len(runs) == len(set(runs)) >= many
    writes = [call for call in lane.proxy.calls if call.is_write and "poison" in call.path]
    assert len(writes) < 30, "no hot loop"
    record_property("tries", many)
    record_property("clean_s", took_s)
