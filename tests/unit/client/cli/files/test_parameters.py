"""Parameters of `flowrun run`: what is written arrives, or is refused before anything is created."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flowrun.cli.files import manifests, parameters
from flowrun.problem import Problem
from flowrun_api import constants

RUN = "apiVersion: flowrun.dev/v1alpha1\nkind: FlowRun\nmetadata: {name: etl}\nspec: {flow: {entrypoint: 'f.py:f'}}\n"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


class _Quoting(yaml.SafeDumper):
    """Texts in quotes: which plain words are none is another question in each version of YAML."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def a_run(given: Any) -> dict[str, Any]:
    return {
        "apiVersion": "flowrun.dev/v1alpha1",
        "kind": "FlowRun",
        "metadata": {"name": "etl"},
        "spec": {"flow": {"entrypoint": "f.py:f", "parameters": given}},
    }


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_json_value_is_read_as_it_is_written_from_yaml_and_from_json(values: dict[str, Any]) -> None:
    texts = [yaml.dump(a_run(values), Dumper=_Quoting, allow_unicode=wide) for wide in (True, False)]
    texts += [json.dumps(a_run(values)), json.dumps(a_run(values), ensure_ascii=False, indent=2)]
    for text in texts:
        read = manifests.parse(text, "f").flow_run
        parameters.check(read)
        assert same(read["spec"]["flow"]["parameters"], values)


@given(st.text(min_size=1).filter(lambda name: "=" not in name), JSON)
def test_any_json_value_can_be_given_by_the_option(name: str, value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        run = a_run({})
        parameters.set_parameters(run, [f"{name}={text}"])
        parameters.check(run)
        assert same(run["spec"]["flow"]["parameters"], {name: value})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[1, NaN]", "[" * 100_000])
def test_what_python_alone_takes_for_json_is_a_text(text: str) -> None:
    run = a_run({})
    parameters.set_parameters(run, [f"x={text}"])
    assert run["spec"]["flow"]["parameters"] == {"x": text}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"x": {"y": [1, 2**63]}}, r"spec\.flow\.parameters\.x\.y\[1\]: an integer that needs more than 64 bits"),
        ({"x": math.inf}, r"spec\.flow\.parameters\.x: JSON has no inf"),
        ({"x": b"bytes"}, "JSON has no bytes"),
        ({"x": "\ud83d"}, "half of a surrogate pair"),
        ({"\ud83d": 1}, "a key: half of a surrogate pair"),
        ({"x": "y" * 2**19}, "has 513 KiB as JSON, the limit is 512 KiB"),
        ({"x": "ü" * 2**17}, "has 769 KiB as JSON, the limit is 512 KiB"),
    ],
    ids=["integer", "infinity", "bytes", "surrogate", "surrogate in a key", "size", "size as Prefect measures it"],
)
def test_what_would_not_arrive_as_it_is_is_refused_with_its_place(given: dict[str, Any], says: str) -> None:
    with pytest.raises(Problem, match=says):
        parameters.check(a_run(given))


@pytest.mark.parametrize("spec", [None, 3, {"flow": None}, {"flow": {"parameters": 3}}, {}])
def test_what_the_api_server_refuses_is_left_to_it(spec: Any) -> None:
    parameters.check({**a_run({}), "spec": spec})


def test_the_limit_is_that_of_the_contract() -> None:
    assert parameters.PARAMETERS_LIMIT_BYTES == constants.PARAMETERS_LIMIT_BYTES


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("x=3", 3),
        ("x=true", True),
        ('x=["a", 1]', ["a", 1]),
        ("x=2026-11-22", "2026-11-22"),
        ("x=a=b", "a=b"),
        ("x=", ""),
    ],
)
def test_a_parameter_is_json_or_else_a_string(assignment: str, value: object) -> None:
    run = manifests.parse(RUN, "f.yaml").flow_run
    parameters.set_parameters(run, [assignment])
    assert run["spec"]["flow"]["parameters"] == {"x": value}


@pytest.mark.parametrize("assignment", ["x", "=3"])
def test_a_parameter_without_name_or_value_is_refused(assignment: str) -> None:
    with pytest.raises(Problem, match="write it as NAME=VALUE"):
        parameters.set_parameters(manifests.parse(RUN, "f.yaml").flow_run, [assignment])


@pytest.mark.parametrize("spec", ["spec:", "spec: {flow: []}", "spec: {flow: {parameters: 3}}"])
def test_a_parameter_of_a_flow_run_that_can_have_none_is_refused(spec: str) -> None:
    run = manifests.parse(RUN.replace("spec: {flow: {entrypoint: 'f.py:f'}}", spec), "f.yaml").flow_run
    with pytest.raises(Problem, match="of the FlowRun is not an object"):
        parameters.set_parameters(run, ["x=3"])


def test_a_key_that_yaml_takes_for_a_truth_value_is_named() -> None:
    found = manifests.parse(
        """
apiVersion: flowrun.dev/v1alpha1
kind: FlowRun
metadata: {name: etl}
spec: {flow: {entrypoint: "etl.py:etl", parameters: {nested: {off: 1}}}}
""",
        "etl.yaml",
    )
    with pytest.raises(Problem, match=r"parameters\.nested, a key: YAML reads n, no or off as a truth value: quote it"):
        parameters.check(found.flow_run)
