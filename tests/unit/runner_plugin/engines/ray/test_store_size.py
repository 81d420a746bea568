"""The size of a node's object store."""

from __future__ import annotations

import pytest

from flowrun_api import environment
from prefect_flowrun.engines.ray import store_size
from prefect_flowrun.engines.ray.store_size import SMALLEST_BYTES, container_limit, fit, fitted

MI = 2**20
TABLE = [
    # name, planned, nodes, limit, volume, size
    ("the plan fits", 500 * MI, 1, None, 1000 * MI, 500 * MI),
    ("no /dev/shm is known", 500 * MI, 1, None, None, 500 * MI),
    ("the user's /dev/shm is smaller", 500 * MI, 1, None, 256 * MI, 243 * MI),
    ("a limit that the plan did not know", 583 * MI, 1, 600 * MI, 600 * MI, 171 * MI),
    ("and a larger one", 583 * MI, 1, 8000 * MI, 8000 * MI, 2280 * MI),
    ("heads share the limit", 583 * MI, 2, 1200 * MI, 1200 * MI, 171 * MI),
    ("heads share the volume", 500 * MI, 2, None, 400 * MI, 190 * MI),
    ("never below what Ray takes", 500 * MI, 1, 100 * MI, 64 * MI, SMALLEST_BYTES),
]


@pytest.mark.parametrize(
    ("planned", "nodes", "limit", "volume", "size"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_store_fits_the_container(planned, nodes, limit, volume, size):
    assert abs(fit(planned, nodes, limit, volume) - size) <= MI


@pytest.mark.parametrize(
    ("v1", "v2", "limit"),
    [
        (None, "629145600\n", 600 * MI),
        (None, "max\n", None),
        ("629145600\n", None, 600 * MI),
        ("9223372036854771712\n", None, None),
        (None, None, None),
    ],
    ids=["v2", "v2 without limit", "v1", "v1 without limit", "no cgroups"],
)
def test_the_containers_limit_is_read_from_its_cgroup(tmp_path, v1, v2, limit):
    files = (tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes")
    for file, text in zip(files, (v2, v1), strict=True):
        if text is not None:
            file.write_text(text)
    assert container_limit(files) == limit


def test_the_container_counts_only_where_the_operator_knew_no_limit(monkeypatch):
    monkeypatch.setattr(store_size, "container_limit", lambda: 1000 * MI)
    monkeypatch.setattr(store_size, "_volume_bytes", lambda _: None)
    assert fitted(500 * MI) == 500 * MI
    monkeypatch.setenv(environment.RAY_FIT_STORE, "1")
    assert fitted(500 * MI) == 285 * MI
    assert fitted(None) is None
