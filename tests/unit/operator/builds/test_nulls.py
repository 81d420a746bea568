"""What `kubectl apply` has left out is there again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrun_operator.build.nulls import LAST_APPLIED, with_nulls

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def as_kubectl_sends(value):
    if isinstance(value, dict):
        return {name: as_kubectl_sends(inner) for name, inner in value.items() if inner is not None}
    return [as_kubectl_sends(inner) for inner in value] if isinstance(value, list) else value


def applied(parameters):
    return {LAST_APPLIED: json.dumps({"spec": {"parameters": parameters}})}


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_all_that_was_written_arrives(parameters):
    sent = as_kubectl_sends(parameters)
    assert with_nulls(sent, applied(parameters), "spec", "parameters") == parameters


def test_nothing_but_nulls_is_taken_from_the_annotation():
    sent = {"a": 1, "b": {"c": [1]}}
    written = {"a": 2, "b": {"c": [{"x": None}, 1], "d": None, "e": 3}, "f": None}
    assert with_nulls(sent, applied(written), "spec", "parameters") == {**sent, "b": {"c": [1], "d": None}, "f": None}


@pytest.mark.parametrize("annotation", [None, "", "{", "[]", "null", '{"spec": 1}', "[" * 100_000])
def test_an_annotation_that_says_nothing_changes_nothing(annotation):
    annotations = {} if annotation is None else {LAST_APPLIED: annotation}
    assert with_nulls({"a": 1}, annotations, "spec", "parameters") == {"a": 1}
