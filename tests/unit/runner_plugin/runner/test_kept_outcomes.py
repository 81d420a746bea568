"""Futures that a flow still holds when the cluster is left that has their outcomes."""

from __future__ import annotations

import weakref
from uuid import uuid4

import pytest
from prefect.exceptions import MissingResult
from prefect.states import Completed, Failed
from stand_in import StandInFuture

from prefect_flowrun.runner import kept_outcomes
from prefect_flowrun.runner.futures import ClusterFuture
from prefect_flowrun.runner.kept_outcomes import keep_outcomes


class Cluster:
    """An engine whose outcomes can be fetched until it is left."""

    def __init__(self):
        self.size_of = {}
        self.gone = False

    def sizes(self, futures):
        return [self.size_of[future] for future in futures]

    def describe_loss(self, error):
        return f"lost: {error}"

    def submitted(self, state, size):
        engine = self

        class Future(StandInFuture):
            def result(self):
                if engine.gone:
                    raise ConnectionError("the cluster was left")
                return super().result()

        inner = Future()
        inner.inner.set_result(state)
        self.size_of[inner] = size
        return ClusterFuture(uuid4(), inner, self)


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(kept_outcomes, "KEPT_BYTES", 1000)
    return Cluster()


def leave(cluster, *futures):
    keep_outcomes(cluster, futures)
    cluster.gone = True


def test_what_is_small_is_there_after_the_cluster_has_been_left(cluster):
    done, failed = cluster.submitted(Completed(data=1), 300), cluster.submitted(Failed(message="no"), None)
    leave(cluster, done, failed)
    assert (done.state.name, done.result()) == ("Completed", 1)
    assert (failed.state.name, failed.state.message) == ("Failed", "no")


def test_a_task_with_a_large_result_has_still_not_crashed(cluster, monkeypatch, caplog):
    monkeypatch.setattr(ClusterFuture.__mro__[1], "state", property(lambda self: Completed()), raising=False)
    small, large = cluster.submitted(Completed(data=1), 900), cluster.submitted(Completed(data=2), 901)
    leave(cluster, large, small)
    assert small.result() == 1
    assert large.state.name == "Completed"
    with pytest.raises(MissingResult):
        large.result()
    assert "results of 1 task run(s) were too large to be kept" in caplog.text


def test_what_nobody_holds_and_what_goes_on_is_not_asked_for(cluster):
    held = weakref.WeakSet()
    held.add(cluster.submitted(Completed(data=1), 1))
    going_on = ClusterFuture(uuid4(), StandInFuture(), cluster)
    leave(cluster, *held, going_on)
    assert not held
    assert not going_on._wrapped_future.done()
