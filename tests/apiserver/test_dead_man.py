"""What the controllers do with an attempt while the operator is away; what its processes do is in tests/cluster."""

import pytest
from apiserver_testing.api import path_of
from apiserver_testing.lane import KILLED, Lane

pytestmark = pytest.mark.timeout(120)


async def test_F04_all_of_an_attempt_goes_by_the_ttl_of_its_job_without_the_operator(lane: Lane):
    await lane.apply()
    await lane.wait(lane.running, "the driver runs")
    await lane.wait(lambda: len(lane.api.of("Pod")) == 3, "workers are there")
    lane.kill_operator()
    job = path_of("Job", lane.namespace, "etl-1")
    assert (await lane.user.must("GET", job))["spec"]["ttlSecondsAfterFinished"] >= 3600
    await lane.user.must("PATCH", job, {"spec": {"ttlSecondsAfterFinished": 1}})
    lane.ends["1"] = KILLED
    # The Secret with the key goes with the run itself.
    await lane.wait(lambda: all(name.startswith(("FlowRun", "Secret")) for name in lane.left()), "the attempt is gone")
    lane.start_operator()
    await lane.wait(lane.finished, "the operator finds it so")
    assert lane.condition()["reason"] == "DriverDeleted"
    await lane.wait(lambda: lane.left() == ["FlowRun etl"], "all is gone but the record")
