"""Where `ray.init()` and `ray.shutdown()` of a flow lead. Ray's own functions, without a Ray."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import ray

from prefect_flowrun.engines.ray import calls


class JoinedError(Exception):
    pass


class Run:
    def is_ours(self, address):
        return address == "127.0.0.1:6379"

    def join(self, options):
        raise JoinedError(options)

    def stay(self, options):
        raise AssertionError(options)

    def leave(self):
        return True


@pytest.fixture(autouse=True)
def _rays_own_functions():
    before = ray.init, ray.shutdown
    yield
    ray.init, ray.shutdown = before


@pytest.mark.parametrize("address", [None, "", "auto", "127.0.0.1:6379"])
def test_without_an_address_of_another_cluster_the_runs_is_joined(address):
    calls.route(ray, Run())
    with pytest.raises(JoinedError, match="num_cpus"):
        ray.init(address, num_cpus=2)
    with pytest.raises(JoinedError):
        ray.init(address=address)


@pytest.mark.parametrize("address", ["local", "192.0.2.7:6379"])
def test_another_address_is_left_to_ray(address):
    calls.route(ray, Run())
    with pytest.raises(RuntimeError, match="nonsense"):  # Ray's own check, before it connects
        ray.init(address, nonsense=1)


def test_the_handler_of_sigterm_stays():
    calls.route(ray, Run())
    mine = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with calls.keeping_sigterm(), pytest.raises(RuntimeError, match="nonsense"):
            calls.original(ray.init)(nonsense=1)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, mine)


class User:
    def __init__(self, told):
        self._told = told

    def drain(self, timeout):
        self._told.append(f"drained within {timeout:g} s")

    def close(self):
        self._told.append("closed")


def test_those_who_use_the_connection_are_told_of_its_end():
    told = []
    user = User(told)
    calls.users.add(user)
    calls.tell_users(ray)
    ray.shutdown()
    assert told == ["drained within 10 s", "closed"]


def test_a_worker_keeps_its_connection():
    told = []
    user = User(told)
    calls.users.add(user)
    calls.route(ray, calls.OnWorker())
    ray.shutdown()
    assert told == []


def test_ray_is_routed_once_even_if_it_is_done_again():
    init = ray.init
    calls.route(ray, Run())
    calls.route(ray, calls.OnWorker())
    assert calls.original(ray.init) is calls.original(init)


CODE = """
from prefect_flowrun.engines.ray import calls
import sys
calls.route_when_imported(calls.OnWorker())
assert "ray" not in sys.modules
import ray.util
from ray import init, shutdown
assert calls.is_replaced(init) and calls.is_replaced(shutdown)
assert not any("prefect_flowrun" in type(each).__module__ for each in sys.meta_path)
"""


def test_ray_is_routed_at_its_import_and_not_imported_for_it():
    subprocess.run([sys.executable, "-c", CODE], check=True)
