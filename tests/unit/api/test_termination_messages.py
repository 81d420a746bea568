import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_testing.builders import message

from flowrun_api.contract import ClusterContract, ResultType, parse_result


def test_a_result_is_read():
    result = parse_result(message("FAILED", "FlowFailed", message="boom"))
    assert (result.type, result.reason, result.message, result.flow_run_id) == (
        ResultType.FAILED,
        "FlowFailed",
        "boom",
        "f-1",
    )


def test_fields_of_a_later_release_are_ignored():
    assert parse_result(message(novelty=1)).reason == "FlowCompleted"


@pytest.mark.parametrize(
    "text", [None, "", "Killed", "{}", '{"type": "MAYBE", "name": "x", "reason": "y"}', "[" * 4096, '{"a":' * 800]
)
def test_whatever_is_no_result_is_none(text):
    assert parse_result(text) is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    parse_result(text)


def test_a_cluster_is_camel_case_in_json():
    cluster = ClusterContract(name="c", engine="Dask", address="tcp://x", port=1, http_port=2, workers=3)
    assert cluster.model_dump(by_alias=True)["threadsPerWorker"] == 1
    assert ClusterContract.model_validate_json(cluster.model_dump_json(by_alias=True)) == cluster
