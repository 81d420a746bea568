"""A run once more."""

from __future__ import annotations

from flowrun.cli.files import rerun

EARLIER = {
    "apiVersion": "flowrun.dev/v1alpha1",
    "kind": "FlowRun",
    "metadata": {"name": "etl", "uid": "u", "labels": {"team": "data"}, "annotations": {"kubectl": "..."}},
    "spec": {"flow": {"entrypoint": "etl.py:etl", "parameters": {"count": 1}}, "suspend": False, "cancel": True},
    "status": {"state": "Cancelled"},
}


def test_it_does_the_same_under_another_name() -> None:
    again = rerun.manifest(EARLIER)
    assert again["spec"] == {"flow": {"entrypoint": "etl.py:etl", "parameters": {"count": 1}}}
    assert again["metadata"]["name"].startswith("etl-")
    assert again["metadata"]["labels"] == {"team": "data"}
    assert again["metadata"]["annotations"] == {"flowrun.dev/rerun-of": "etl"}
    assert "status" not in again
    again["spec"]["flow"]["parameters"]["count"] = 2
    assert EARLIER["spec"]["flow"]["parameters"] == {"count": 1}


def test_names_do_not_grow_from_one_to_the_next() -> None:
    once = rerun.manifest(EARLIER)
    twice = rerun.manifest({**once, "metadata": {**once["metadata"]}})
    assert len(twice["metadata"]["name"]) == len(once["metadata"]["name"]) == len("etl-123456")
    long = rerun.manifest({**EARLIER, "metadata": {"name": "a" * 40}})
    assert len(long["metadata"]["name"]) == 40
