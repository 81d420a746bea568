"""One attempt of a FlowRun as far as Prefect is concerned: load the flow, record the run, run it, say how it ended.

Imports prefect; the driver imports this module once the coordinators are starting.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from prefect_flowrun import connections, execute, flow_run, progress, redirect, timeline
from prefect_flowrun.contract import DriverEnvironment, Reason, Result, ResultType
from prefect_flowrun.load import FlowLoadError, fallback_flow_name, load_flow
from prefect_flowrun.options import engine_override
from prefect_flowrun.scaling.kube import TaskClusters
from prefect_flowrun.scaling.lifecycle import Lifecycle
from prefect_flowrun.shutdown import Cause

if TYPE_CHECKING:
    from prefect_flowrun.coordinators import Coordinators

API_TIMEOUT_S = float(os.environ.get("FLOWRUN_API_TIMEOUT_SECONDS", "20"))
# When the process is being ended there is a second or so in all.
HURRIED_API_TIMEOUT_S = 1.0


class Attempt:
    """What is known of the attempt so far, and how it ends."""

    def __init__(self, env: DriverEnvironment, coordinators: Coordinators | None = None) -> None:
        self._env = env
        connections.manage(Lifecycle(coordinators, TaskClusters.of_this_pod(env.namespace)))
        self._flow_run_id: UUID | None = None

    def run(self) -> Result:
        """Run the flow to its end.

        Raises:
            BaseException: what ends the process, e.g. Prefect's TerminationSignal on SIGTERM.
        """
        redirect.install(self._env.clusters, self._env.task_runners, engine_override())
        try:
            with flow_run.connected(API_TIMEOUT_S) as client:
                timeline.mark("API reached")
                return self._run(client)
        except flow_run.PrefectUnreachableError as error:
            return self._failure(ResultType.CRASHED, Reason.PREFECT_UNREACHABLE, str(error))

    def refuse(self, reason: Reason, message: str) -> Result:
        """End the run before it begins, and leave a flow run in Prefect that says why.

        Args:
            reason: for the result.
            message: for the result and for Prefect.
        """
        try:
            with flow_run.connected(API_TIMEOUT_S) as client:
                record = self._create(client, fallback_flow_name(self._env.entrypoint))
                flow_run.fail(client, record.id, message)
        except Exception as error:  # the result matters more
            _say(f"The failure could not be reported to Prefect: {error}")
        return self._failure(ResultType.FAILED, reason, message)

    def crash(self, cause: Cause) -> Result:
        """End the run from outside: set it Crashed in Prefect, or Cancelled if a user has asked for that.

        Args:
            cause: why.
        """
        if self._flow_run_id is None:
            return self._failure(ResultType.CRASHED, cause.reason, cause.message)
        try:
            # A client of its own: the run's may be busy, or in the hands of another thread.
            state = flow_run.crash(flow_run.hurried_client(HURRIED_API_TIMEOUT_S), self._flow_run_id, cause.message)
        except Exception as error:  # the operator repairs the state when it sees the result
            _say(f"The end of the run could not be reported to Prefect: {error}")
            return self._failure(ResultType.CRASHED, cause.reason, cause.message)
        if state.is_cancelled():
            return self._failure(ResultType.CANCELLED, Reason.FLOW_CANCELLED, state.message or "")
        return self._failure(ResultType.CRASHED, cause.reason, cause.message)

    def _run(self, client: SyncPrefectClient) -> Result:
        try:
            flow = load_flow(self._env.entrypoint)
        except FlowLoadError as error:
            return self._load_failed(client, str(error))
        timeline.mark("flow loaded")
        progress.announce(_say)
        connections.import_engines(self._env.clusters)
        record = self._create(client, flow.name)
        timeline.mark("flow run created")
        if record.state is not None and record.state.is_final():
            # A driver before this one has finished the attempt; running it again would do its work twice.
            _say(f"The flow run {record.id} has already ended; it is not run again")
            return execute.classify(record.state, record.id)
        state = execute.execute(client, flow, record)
        timeline.mark("flow ended")
        return execute.classify(state, record.id)

    def _create(self, client: SyncPrefectClient, flow_name: str) -> FlowRun:
        record = flow_run.create(client, self._env, flow_name)
        self._flow_run_id = record.id
        return record

    def _load_failed(self, client: SyncPrefectClient, message: str) -> Result:
        """Leave a flow run in Prefect that says why nothing ran."""
        try:
            record = self._create(client, fallback_flow_name(self._env.entrypoint))
            flow_run.fail(client, record.id, f"The flow could not be loaded. {message}")
        except Exception as error:  # the result matters more
            _say(f"The failure could not be reported to Prefect: {error}")
        return self._failure(ResultType.FAILED, Reason.FLOW_LOAD_FAILED, message)

    def _failure(self, kind: ResultType, reason: Reason, message: str) -> Result:
        flow_run_id = str(self._flow_run_id) if self._flow_run_id else None
        return Result(flow_run_id=flow_run_id, type=kind, name=kind.value.capitalize(), message=message, reason=reason)


def _say(message: str) -> None:
    print(f"[flowrun] {message}", file=sys.stderr, flush=True)  # noqa: T201 - the container's log
