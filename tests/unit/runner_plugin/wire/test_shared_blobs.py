"""Bytes that several tasks need reach the cluster once."""

from __future__ import annotations

import threading
import time
import weakref

import pytest

from prefect_flowrun.wire import shared_blobs
from prefect_flowrun.wire.shared_blobs import Blob, Manifest, Shelf


class Cluster:
    """Notes what is put on it."""

    def __init__(self):
        self.put_data: list[bytes] = []
        self.lost: set[str] = set()

    def put(self, data):
        self.put_data.append(data)
        return Parcel(f"parcel {len(self.put_data)}")

    def holds(self, parcel):
        return parcel not in self.lost


class Parcel(str):
    """Weakly referable."""


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
        return Parcel("parcel")

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
    answers = [OSError("gone"), Parcel("parcel")]

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


def test_many_bytes_never_travel_inside_a_payload(cluster):
    shelf = Shelf(cluster.put)
    many = Blob(b"m" * (shared_blobs.ALONG_BYTES + 1))
    assert shelf.parcel(many) == "parcel 1"


def test_many_bytes_that_one_task_needs_are_kept_no_longer_than_by_that_task(cluster):
    shelf = Shelf(cluster.put)
    many = Blob(b"m" * (shared_blobs.ALONG_BYTES + 1))
    held = shelf.parcel(many)
    assert shelf.parcel(many) is held  # and from now on it is kept: a second task has asked for it
    other = Blob(b"o" * (shared_blobs.ALONG_BYTES + 1))
    gone = weakref.ref(shelf.parcel(other))
    assert gone() is None


def test_what_the_cluster_has_lost_is_put_there_again(cluster):
    shelf = Shelf(cluster.put, cluster.holds)
    blob = Blob(b"x")
    shelf.parcel(blob)
    first = shelf.parcel(blob)
    assert shelf.parcel(blob) is first
    cluster.lost.add(first)
    assert [shelf.parcel(blob), shelf.parcel(blob)] == ["parcel 2", "parcel 2"]
    assert cluster.put_data == [b"x", b"x"]


def test_bytes_on_their_way_keep_no_other_bytes_waiting():
    let_go, on_the_way = threading.Event(), threading.Event()

    def put(data):
        if data == b"slow":
            on_the_way.set()
            assert let_go.wait(60)
        return Parcel(data.decode())

    shelf = Shelf(put)
    for data in (b"slow", b"quick"):
        shelf.parcel(Blob(data))
    thread = threading.Thread(target=shelf.parcel, args=[Blob(b"slow")])
    thread.start()
    assert on_the_way.wait(60)
    assert shelf.parcel(Blob(b"quick")) == "quick"
    let_go.set()
    thread.join(60)
