import pytest

from flowrun_api.kinds.clusters import ClusterSpec


def cluster(**spec) -> ClusterSpec:
    return ClusterSpec.model_validate({"name": "c", "engine": "Dask", **spec})


BOUNDS = {"minReplicas": 2, "maxReplicas": 5}
TABLE = [
    # name, spec, bounds, elastic, scaled by the driver, at start, in use
    ("nothing said", {}, (1, 1), False, False, 1, 1),
    ("a fixed number", {"workers": {"replicas": 4}}, (4, 4), False, False, 4, 4),
    ("none", {"workers": {"replicas": 0}}, (0, 0), False, False, 0, 0),
    ("bounds", {"workers": BOUNDS}, (2, 5), True, True, 2, 2),
    ("on demand", {"activation": "OnDemand"}, (1, 1), False, True, 0, 1),
    ("on demand, fixed", {"activation": "OnDemand", "workers": {"replicas": 4}}, (4, 4), False, True, 0, 4),
    ("on demand, bounds", {"activation": "OnDemand", "workers": BOUNDS}, (2, 5), True, True, 0, 2),
    (
        "on demand, down to none",
        {"activation": "OnDemand", "workers": {"minReplicas": 0, "maxReplicas": 5}},
        (0, 5),
        True,
        True,
        0,
        1,
    ),
]


@pytest.mark.parametrize(
    ("spec", "bounds", "elastic", "scaled", "at_start", "in_use"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE]
)
def test_how_many_workers(spec, bounds, elastic, scaled, at_start, in_use):
    found = cluster(**spec)
    assert (found.bounds, found.elastic, found.scaled_by_driver) == (bounds, elastic, scaled)
    assert (found.workers_at_start, found.workers_in_use) == (at_start, in_use)
