"""What a driver says of parameters that the flow does not take."""

from __future__ import annotations

from prefect_flowrun.driver.run_flow import yaml_hint


def test_a_key_that_yaml_took_for_a_truth_value_is_explained() -> None:
    assert yaml_hint({"n": 1, "falsehood": 2}) == ""
    assert "n, no or off (false)" in yaml_hint({"false": 3})
    assert 'quote it, "n": 3' in yaml_hint({"true": 3, "count": 1})
