from dataclasses import replace
from itertools import chain

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, NOW, a_run, a_view, an_attempt

from flowrun_operator.decide import decide_run
from flowrun_operator.decide.plan import Create
from flowrun_operator.decide.validity import validity

RAY = {"name": "gpu", "engine": "Ray"}
ON_DEMAND = {**DASK_CLUSTER, "activation": "OnDemand"}
SMALL = {**RAY, "workers": {"resources": {"limits": {"memory": "128Mi"}}}}
FLOW = {"entrypoint": "etl.py:etl"}
BARE = replace(DEFAULTS, image="", prefect_api_url=None)

TABLE = [
    ("an ordinary run", {}, DEFAULTS, None),
    ("a run without clusters", {"clusters": []}, DEFAULTS, None),
    ("a Ray cluster", {"clusters": [RAY]}, DEFAULTS, None),
    ("a cluster on demand", {"clusters": [ON_DEMAND]}, DEFAULTS, None),
    ("too little memory for Ray", {"clusters": [SMALL]}, DEFAULTS, "InsufficientMemory"),
    ("as many parameters as may be", {"flow": {**FLOW, "parameters": {"x": "y" * (2**19 - 8)}}}, DEFAULTS, None),
    ("more of them", {"flow": {**FLOW, "parameters": {"x": "y" * 2**19}}}, DEFAULTS, "ParametersTooLarge"),
    ("no Prefect API", {}, BARE, "PrefectApiUrlMissing"),
    ("no image", {"prefect": {"apiUrl": "http://p/api"}}, BARE, "ImageMissing"),
    ("all given by the run", {"prefect": {"apiUrl": "http://p/api"}, "image": "mine:1"}, BARE, None),
]


@pytest.mark.parametrize(("spec", "defaults", "reason"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_validity_table(spec, defaults, reason):
    verdict = validity(a_view(run=a_run(spec), defaults=defaults), NOW)
    assert (verdict and verdict.outcome.reason) == reason


def test_a_run_that_was_started_stays_valid_when_the_defaults_change():
    assert validity(a_view(an_attempt(), defaults=BARE), NOW) is None


def test_an_invalid_run_ends_without_a_child_and_says_why():
    plan = decide_run(a_view(run=a_run({"clusters": [SMALL]})), NOW)
    assert [a for a in (*chain(*plan.first), *plan.actions) if isinstance(a, Create)] == []
    assert plan.status.conditions[0].reason == "InsufficientMemory"
    assert "'gpu'" in plan.status.conditions[0].message


def test_too_many_parameters_are_told_by_field_size_and_limit_and_not_by_their_values():
    plan = decide_run(a_view(run=a_run({"flow": {**FLOW, "parameters": {"x": "y" * 2**20}}})), NOW)
    assert [a for a in (*chain(*plan.first), *plan.actions) if isinstance(a, Create)] == []
    message = plan.status.conditions[0].message
    assert "spec.flow.parameters has 1025 KiB as JSON, the limit is 512 KiB" in message
    assert "yy" not in message
