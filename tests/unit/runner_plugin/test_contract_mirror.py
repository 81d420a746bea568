"""Operator and plugin know each other only by the contract: both sides must mean the same by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrun_operator import contract as operators
from prefect_flowrun import contract as drivers

TYPES = {"string", "integer", "number", "boolean", "null"}


def json_types(model, name):
    """JSON types that a property takes, behind references and unions."""
    schema = model.model_json_schema(by_alias=True)
    found, todo = set(), [schema["properties"][name]]
    while todo:
        part = todo.pop()
        if "$ref" in part:
            todo.append(schema["$defs"][part["$ref"].rpartition("/")[2]])
        todo += part.get("anyOf", [])
        found |= {part["type"]} & TYPES if "type" in part else set()
    return found


@pytest.mark.parametrize("name", ["ClusterContract", "Result"])
def test_both_sides_have_the_same_properties_of_the_same_types(name):
    mine, theirs = getattr(drivers, name), getattr(operators, name)
    properties = set(mine.model_json_schema(by_alias=True)["properties"])
    assert properties == set(theirs.model_json_schema(by_alias=True)["properties"])
    for prop in properties:
        assert json_types(mine, prop) == json_types(theirs, prop), prop


def test_result_types_are_the_same():
    assert {kind.value for kind in drivers.ResultType} == {kind.value for kind in operators.ResultType}


def test_the_limit_of_the_parameters_is_the_same():
    assert drivers.PARAMETERS_LIMIT_BYTES == operators.PARAMETERS_LIMIT_BYTES


@given(kind=st.sampled_from(drivers.ResultType), reason=st.sampled_from(drivers.Reason), message=st.text(max_size=6000))
def test_the_operator_reads_what_the_driver_writes(kind, reason, message):
    written = drivers.Result(flow_run_id="f-1", type=kind, name="Any", message=message, reason=reason)
    read = operators.parse_result(written.to_bytes().decode())
    assert read is not None
    assert (read.type.value, read.reason, read.flow_run_id) == (kind.value, reason.value, "f-1")
    assert message.startswith(read.message)


@given(
    workers=st.integers(0, 1000),
    threads=st.integers(1, 64),
    timeout=st.integers(1, 86400),
    bounds=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
    elastic=st.booleans(),
    store=st.none() | st.integers(0, 2**40),
)
def test_the_driver_reads_what_the_operator_writes(workers, threads, timeout, bounds, elastic, store):
    told = operators.ClusterContract(
        name="default",
        engine="Dask",
        address="tcp://127.0.0.1:8786",
        port=8786,
        http_port=8787,
        workers=workers,
        threads_per_worker=threads,
        startup_timeout_seconds=timeout,
        task_cluster="etl-1-default",
        min_workers=bounds[0],
        max_workers=bounds[1],
        elastic=elastic,
        idle_seconds=timeout,
        dashboard=elastic,
        object_store_bytes=store,
    )
    [understood] = drivers.clusters_from_env({"FLOWRUN_CLUSTERS": f"[{told.model_dump_json(by_alias=True)}]"})
    assert understood.model_dump(mode="json") == told.model_dump(mode="json")
