"""A run from its first attempt to its end: what the operator does for a FlowRun, in a thread of the command."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from flowrun_api.contract import ClusterContract, ResultType
from flowrun_api.kinds.clusters import ClusterSpec
from flowrun_api.kinds.ends import BACKOFF_S
from flowrun_api.kinds.flowrun import FlowRunSpec
from prefect_flowrun.laptop import commands, ending, ports, prefect_server
from prefect_flowrun.laptop.commands import Identity, Place
from prefect_flowrun.laptop.ending import Ending
from prefect_flowrun.laptop.fleet import Fleet
from prefect_flowrun.laptop.guardian import Guardian
from prefect_flowrun.laptop.processes import Process, end_all
from prefect_flowrun.laptop.scale_api import ScaleApi
from prefect_flowrun.records import close_runs, rest

Raw = dict[str, Any]

_POLL_S = 0.05
# As a pod of the driver has.
_DRIVER_GRACE_S = 8.0
_REPORT_S = 15.0
_SERVER_GRACE_S = 10.0
_TELL_S = 5.0
_STATES = {ResultType.COMPLETED: "Succeeded", ResultType.CANCELLED: "Cancelled"}


@dataclass(frozen=True)
class Lines:
    """Who takes the lines that the run's processes write."""

    driver: Callable[[str], None]
    workers: Callable[[str, str], None]
    """The worker's name, and a line."""
    others: Callable[[str], None]
    """Of Prefect's server, and of those who report to it."""


class LaptopRun:
    """One run. `get` and `cancel` are as of `flowrun.kube.runs.Runs`, so it is followed like any other."""

    ends_with_command = True

    def __init__(self, name: str, spec: FlowRunSpec, place: Place, lines: Lines) -> None:
        """Prepare; nothing is started yet.

        Args:
            name: of the run.
            spec: what to run.
            place: of its files; an empty `api_url` means a Prefect server of its own.
            lines: where they go.
        """
        self._name = name
        self._uid = str(uuid.uuid4())
        self._spec = spec
        self._place = place
        self._lines = lines
        self._guardian = Guardian(place.folder)
        self._server: Process | None = None
        self._fleets: dict[str, Fleet] = {}
        self._ending: Ending | None = None
        self._after = ""
        self._waits_for = "attempt 1 starts"
        self._attempt = 0
        self._cancel = threading.Event()
        self._hurry = threading.Event()
        self._deadline: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, name="laptop-run", daemon=True)

    def start(self) -> None:
        """Start the run, in a thread.

        Raises:
            CannotRun: a variable of the environment is missing.
            OSError: a file can't be written, or a process not be started.
        """
        (self._place.folder / "parameters.json").write_text(json.dumps(self._spec.flow.parameters or {}))
        if not self._place.api_url:
            port = ports.free_port()
            self._place = replace(self._place, api_url=f"http://127.0.0.1:{port}/api")
            command = prefect_server.command(port, self._place.folder, self._place.own)
            self._server = Process(command, self._lines.others, self._guardian, needed_by_others=True)
        self._thread.start()

    @property
    def has_own_server(self) -> bool:
        """Whether its Prefect server ends with it."""
        return self._server is not None

    def get(self, _name: str) -> Raw:
        """Return the run as an object, as the operator would have it."""
        ended = self._ending
        if ended is None:
            state = "Running" if self._attempt else "Starting"
            condition = {"status": "Unknown", "reason": state, "message": self._waits_for}
        else:
            state = _STATES.get(ended.type, "Failed")
            succeeded = str(ended.type is ResultType.COMPLETED)
            condition = {"status": succeeded, "reason": str(ended.reason), "message": ended.message}
        return {
            "metadata": {"name": self._name, "namespace": commands.NAMESPACE, "uid": self._uid},
            "status": {
                "state": state,
                "attempts": [{"number": number + 1} for number in range(self._attempt)],
                "conditions": [{"type": "Succeeded", **condition}],
            },
        }

    def cancel(self, name: str) -> Raw:
        """Ask for the run's end."""
        self._cancel.set()
        return self.get(name)

    def close(self, *, hurried: bool = False) -> None:
        """End what is left; returns when nothing is.

        Args:
            hurried: without giving the driver time to end its flow.
        """
        self._cancel.set()
        if hurried:
            self._hurry.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._server is not None:
            end_all([self._server], _SERVER_GRACE_S)
        self._guardian.close()

    def _live(self) -> None:
        try:
            self._ending = self._attempts()
        except Exception as error:  # told as the run's end: nobody else looks at this thread
            self._ending = Ending("LocalError", f"{type(error).__name__}: {error}", ResultType.CRASHED)

    def _attempts(self) -> Ending:
        limit = self._spec.active_deadline_seconds
        self._deadline = time.monotonic() + limit if limit else None
        while True:
            who = Identity(self._name, self._uid, self._attempt + 1)
            ended = self._run_attempt(who)
            spent = who.attempt > self._spec.retry_policy.max_infrastructure_retries
            again = ended.infrastructure and not spent
            if not ended.reported:
                self._report(who, "AWAITING_RETRY" if again else ended.type.value, ended.message)
            if not again:
                return ended
            self._after = f" after attempt {who.attempt} failed: {ended.reason}"
            self._waits_for = f"attempt {who.attempt + 1} starts{self._after}"
            pause_s = BACKOFF_S[min(who.attempt, len(BACKOFF_S)) - 1]
            if (stopped := self._sleep(pause_s, ended.reason)) is not None:
                self._report(who, stopped.type.value, stopped.message)
                return stopped

    def _sleep(self, pause_s: float, after: str) -> Ending | None:
        """Wait between two attempts; return the run's end if it comes meanwhile."""
        until = time.monotonic() + pause_s
        while time.monotonic() < until:
            if self._cancel.wait(_POLL_S):
                return ending.cancelled()
            if self._is_overdue():
                return ending.overdue(after)
        return None

    def _is_overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _run_attempt(self, who: Identity) -> Ending:
        spec, place = self._spec, self._place
        result = place.folder / f"result-{who.attempt}"
        told = [
            commands.contract(each, spec.startup_deadline_seconds, *(ports.free_port() for _ in range(2)))
            for each in spec.clusters
        ]
        self._fleets = {
            cluster.name: self._fleet(who, cluster, contract)
            for cluster, contract in zip(spec.clusters, told, strict=True)
        }
        api = ScaleApi(place.scale_socket, self._fleets)
        driver = Process(commands.driver(spec, who, told, place, result), self._lines.driver, self._guardian)
        self._attempt = who.attempt
        self._waits_for = f"the flow runs{self._after}"
        try:
            stopped = self._until_end(who, driver)
        finally:
            api.close()
            # What is left of its coordinators, after a driver that was killed.
            driver.end_session()
            for fleet in self._fleets.values():
                fleet.close()
        return ending.settled(ending.of_driver(result, driver.pid, driver.poll() or 0), stopped)

    def _until_end(self, who: Identity, driver: Process) -> Ending | None:
        """Tend the workers until the driver ends; return the end that was asked for, if one was."""
        stopped: Ending | None = None
        while driver.poll() is None:
            for fleet in self._fleets.values():
                fleet.tend()
            if self._cancel.is_set():
                self._announce_cancel(who)
                stopped = ending.cancelled()
            elif self._is_overdue():
                stopped = ending.overdue()
            elif self._server is not None and (code := self._server.poll()) is not None:
                stopped = ending.without_server(code)
            if stopped is not None:
                driver.terminate()
                self._give_time(driver)
                return stopped
            time.sleep(_POLL_S)
        return None

    def _give_time(self, driver: Process) -> None:
        deadline = time.monotonic() + _DRIVER_GRACE_S
        while driver.poll() is None and time.monotonic() < deadline and not self._hurry.is_set():
            time.sleep(_POLL_S)

    def _fleet(self, who: Identity, cluster: ClusterSpec, told: ClusterContract) -> Fleet:
        def start(index: int) -> Process:
            name = f"{cluster.name}-w-{index}"
            command = commands.worker(self._spec, who, cluster, told, self._place, name)
            return Process(command, lambda line: self._lines.workers(name, line), self._guardian)

        return Fleet(start, cluster.workers_at_start, elastic=cluster.elastic)

    def _announce_cancel(self, who: Identity) -> None:
        """Set the flow run Cancelling: its driver then ends it as what it is, and runs its hooks."""
        with suppress(httpx.HTTPError, ValueError), rest.client(self._place.own, _TELL_S) as client:
            post = rest.poster(client, self._place.api_url.rstrip("/"))
            run = close_runs.find(post, who.idempotency_key)
            if run is not None and run["state_type"] not in (*close_runs.FINAL, "CANCELLING"):
                state = {"type": "CANCELLING", "name": "Cancelling", "message": "Ctrl-C was pressed"}
                post(f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})

    def _report(self, who: Identity, type_: str, message: str) -> None:
        process = Process(commands.report(who, self._place, type_, message), self._lines.others, self._guardian)
        process.wait(_REPORT_S)
        process.end_session()


def place_of(folder: Path, code: Path, source: Path | None, reach: Mapping[str, str]) -> Place:
    """Return where a run's files are.

    Args:
        folder: of the run's own.
        code: in which its processes work.
        source: what that is filled from.
        reach: how the user reaches Prefect, by the names of Prefect's settings; empty means a server of the run's own.
    """
    own = {**os.environ, **reach}
    api_url = reach.get(prefect_server.API_URL, "")
    return Place(folder, code, source, api_url, folder / "scale", secrets.token_hex(32), own)
