from hypothesis import given
from hypothesis import strategies as st

from flowrun_operator.build.merge import merged

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_objects_merge_and_the_upper_one_wins():
    assert merged({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 9}}) == {"a": 1, "b": {"c": 9, "d": 3}}


def test_lists_of_named_items_merge_by_name_and_keep_their_order():
    base = [{"name": "flowrun", "image": "a"}, {"name": "side"}]
    over = [{"name": "flowrun", "stdin": True}, {"name": "more"}]
    assert merged(base, over) == [{"name": "flowrun", "image": "a", "stdin": True}, {"name": "side"}, {"name": "more"}]


def test_mounts_are_told_apart_by_their_path_not_by_their_volume():
    base = [{"name": "tmp", "mountPath": "/tmp"}]
    over = [{"name": "tmp", "mountPath": "/scratch", "subPath": "s"}]
    assert merged(base, over) == [*base, *over]


def test_other_lists_are_replaced():
    assert merged({"args": ["a", "b"]}, {"args": ["c"]}) == {"args": ["c"]}


@given(JSON, JSON)
def test_merging_any_json_neither_fails_nor_changes_its_input(base, over):
    before = repr((base, over))
    merged(base, over)
    assert repr((base, over)) == before


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_merging_nothing_changes_nothing(base):
    assert merged(base, {}) == base
