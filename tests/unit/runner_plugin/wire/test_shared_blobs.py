"""Bytes that several tasks need reach the cluster once."""

from __future__ import annotations

import threading
import time

import pytest

from prefect_flowrun.wire import shared_blobs
from prefect_flowrun.wire.shared_blobs import Blob, Manifest, Shelf


class Cluster:
    """Notes what is put on it."""

    def __init__(self):
        self.put_data: list[bytes] = []

    def put(self, data):
        self.put_data.append(data)
        return f"parcel {len(self.put_data)}"


@pytest.fixture
def cluster():
    return Cluster()


def test_the_first_task_carries_the_bytes_and_from_the_second_on_they_are_on_the_cluster(cluster):
    shelf = Shelf(cluster.put)
    assert shelf.parcel(Blob(b"x")) is None
    assert cluster.put_data == []
    assert shelf.parcel(Blob(b"x")) == "parcel 1"
    assert shelf.parcel(Blob(b"x")) == "parcel 1"
    assert cluster.put_data == [b"x"]


def test_bytes_are_known_by_their_content(cluster):
    shelf = Shelf(cluster.put)
    found = [shelf.parcel(Blob(data)) for data in (b"x", b"y", b"y", b"x")]
    assert found == [None, None, "parcel 1", "parcel 2"]
    assert cluster.put_data == [b"y", b"x"]


def test_a_parcel_that_has_fallen_out_is_put_on_the_cluster_again(cluster, monkeypatch):
    monkeypatch.setattr(shared_blobs, "_KEPT_BYTES", 10)
    shelf = Shelf(cluster.put)
    first, second = Blob(b"a" * 6), Blob(b"b" * 6)
    for blob in (first, first, second, second):
        shelf.parcel(blob)
    assert shelf.parcel(second) == "parcel 2"
    assert shelf.parcel(first) == "parcel 3"
    assert cluster.put_data == [first.data, second.data, first.data]


def test_the_one_used_longest_ago_falls_out_first(cluster, monkeypatch):
    monkeypatch.setattr(shared_blobs, "_KEPT_PARCELS", 2)
    shelf = Shelf(cluster.put)
    a, b, c = Blob(b"a"), Blob(b"b"), Blob(b"c")
    for blob in (a, a, b, b, a, c, c):
        shelf.parcel(blob)
    assert shelf.parcel(a) == "parcel 1"
    assert shelf.parcel(b) == "parcel 4"


def test_one_parcel_larger_than_all_that_is_kept_stays_while_it_is_the_last(cluster, monkeypatch):
    monkeypatch.setattr(shared_blobs, "_KEPT_BYTES", 10)
    shelf = Shelf(cluster.put)
    huge = Blob(b"h" * 100)
    assert [shelf.parcel(huge) for _ in range(3)] == [None, "parcel 1", "parcel 1"]


def test_threads_that_need_the_same_bytes_at_once_put_them_there_once():
    put_data = []

    def slow_put(data):
        time.sleep(0.05)
        put_data.append(data)
        return "parcel"

    shelf = Shelf(slow_put)
    shelf.parcel(Blob(b"x"))
    found = []
    threads = [threading.Thread(target=lambda: found.append(shelf.parcel(Blob(b"x")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["parcel"] * 4
    assert put_data == [b"x"]


def test_bytes_that_did_not_reach_the_cluster_are_not_taken_to_be_there():
    answers = [OSError("gone"), "parcel"]

    def put(data):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    shelf = Shelf(put)
    shelf.parcel(Blob(b"x"))
    with pytest.raises(OSError, match="gone"):
        shelf.parcel(Blob(b"x"))
    assert shelf.parcel(Blob(b"x")) == "parcel"


def test_a_manifest_says_of_each_blob_whether_it_travels_along_or_in_which_parcel():
    manifest = Manifest()
    along, first, second = Blob(b"along"), Blob(b"first"), Blob(b"second")
    assert [manifest.add(along, None), manifest.add(first, "p"), manifest.add(second, "q")] == [0, 1, 2]
    assert manifest.entries == [(along.digest, b"along"), (first.digest, 0), (second.digest, 1)]
    assert manifest.parcels == ["p", "q"]
