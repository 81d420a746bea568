"""One attempt of a FlowRun as far as Prefect is concerned: load the flow, record the run, run it, say how it ended.

Imports prefect; the driver imports this module once the coordinators are starting.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType

from flowrun_api import environment
from flowrun_api.contract import DriverEnvironment, Reason, Result, ResultType
from prefect_flowrun import startup_timeline
from prefect_flowrun.clusters.kubernetes import TaskClusters
from prefect_flowrun.clusters.lifecycle import Lifecycle
from prefect_flowrun.driver import final_state_limit, run_flow
from prefect_flowrun.driver.cancellation_poll import CancelWatch
from prefect_flowrun.driver.final_state_limit import EndLimit
from prefect_flowrun.driver.load_flow import FlowLoadError, fallback_flow_name, load_flow
from prefect_flowrun.driver.shutdown import Cause, Shutdown
from prefect_flowrun.records import flow_run, ownership
from prefect_flowrun.records.ownership import Course
from prefect_flowrun.runner import connections, progress, ray_calls, redirect
from prefect_flowrun.runner.options import engine_override

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.flows import Flow

    from prefect_flowrun.coordinator.children import Coordinators

API_TIMEOUT_S = float(os.environ.get(environment.API_TIMEOUT_SECONDS, "20"))
# When the process is being ended there is a second or so in all.
HURRIED_API_TIMEOUT_S = 1.0
WATCH_TIMEOUT_S = 5.0


class Attempt:
    """What is known of the attempt so far, and how it ends."""

    def __init__(self, env: DriverEnvironment, shutdown: Shutdown, coordinators: Coordinators | None = None) -> None:
        self._env = env
        self._shutdown = shutdown
        connections.manage(Lifecycle(coordinators, TaskClusters.of_this_pod(env.namespace)))
        self._flow_run_id: UUID | None = None
        self._untold: Callable[[], Result | None] = lambda: None

    def run(self) -> Result:
        """Run the flow to its end.

        Raises:
            BaseException: what ends the process, e.g. Prefect's TerminationSignal on SIGTERM.
        """
        redirect.install(self._env.clusters, self._env.task_runners, engine_override())
        ray_calls.install(self._env.clusters)
        try:
            with flow_run.connected(API_TIMEOUT_S) as client:
                startup_timeline.mark("API reached")
                return self._run(client)
        except flow_run.PrefectUnreachableError as error:
            return self._failure(ResultType.CRASHED, Reason.PREFECT_UNREACHABLE, str(error))

    def refuse(self, reason: Reason, message: str) -> Result:
        """End the run before it begins, and leave a flow run in Prefect that says why.

        Args:
            reason: for the result.
            message: for the result and for Prefect.
        """
        informed = True
        try:
            with flow_run.connected(API_TIMEOUT_S) as client:
                record = self._create(client, fallback_flow_name(self._env.entrypoint))
                flow_run.fail(client, record.id, message)
        except Exception as error:  # the result matters more
            _say(f"The failure could not be reported to Prefect: {error}")
            informed = False
        return self._failure(ResultType.FAILED, reason, message, informed=informed)

    def crash(self, cause: Cause) -> Result:
        """End the run from outside: set it Crashed in Prefect, or Cancelled if a user has asked for that.

        A run that has completed meanwhile has completed, also if Prefect could not be told.

        Args:
            cause: why.
        """
        if cause.reason is not Reason.FLOW_CANCELLED and (ended := self._untold()) is not None:
            _say(cause.message)
            return ended
        cancelled = cause.reason is Reason.FLOW_CANCELLED
        kind = ResultType.CANCELLED if cancelled else ResultType.CRASHED
        if self._flow_run_id is None:
            return self._failure(kind, cause.reason, cause.message)
        try:
            # A client of its own: the run's may be busy, or in the hands of another thread.
            with flow_run.hurried(HURRIED_API_TIMEOUT_S) as client:
                state = flow_run.finish(
                    client, self._flow_run_id, cause.message, cancelled=cancelled, patience=HURRIED_API_TIMEOUT_S
                )
        except Exception as error:  # the operator repairs the state when it sees the result
            _say(f"The end of the run could not be reported to Prefect: {error}")
            return self._failure(kind, cause.reason, cause.message, informed=False)
        if state.is_completed() or state.is_cancelled():
            return run_flow.classify(state, self._flow_run_id)
        return self._failure(ResultType.CRASHED, cause.reason, cause.message)

    def _run(self, client: SyncPrefectClient) -> Result:
        try:
            flow = load_flow(self._env.entrypoint)
        except FlowLoadError as error:
            if failure := connections.startup_failure():  # its ray.init() has waited for the cluster
                self._create(client, fallback_flow_name(self._env.entrypoint))
                return self.crash(Cause(Reason.CLUSTER_STARTUP_FAILED, failure))
            return self._load_failed(client, str(error))
        startup_timeline.mark("flow loaded")
        progress.announce(_say)
        connections.import_engines(self._env.clusters)
        record = self._create(client, flow.name)
        startup_timeline.mark("flow run created")
        course = ownership.decide(
            record.state.type.value if record.state else "PENDING",
            ownership.owner_of(dict(record.labels)),
            self._env.attempt,
        )
        if course is Course.TAKE_OVER:
            record = flow_run.take_over(client, self._env, record, flow)
        elif course is not Course.RUN:
            return self._not_run(course, record)
        return self._execute(client, flow, record)

    def _execute(self, client: SyncPrefectClient, flow: Flow[..., Any], record: FlowRun) -> Result:
        question = partial(flow_run.cancellation_question, record.id, WATCH_TIMEOUT_S)
        watch = CancelWatch(question, self._shutdown.cancel)
        watch.start()
        limit = EndLimit(record.id, self._prefect_is_away)
        self._untold = partial(run_flow.untold, limit, record.id, may_run_again=bool(flow.retries))
        try:
            state = run_flow.execute(client, flow, record, self._was_cancelled, limit)
        except httpx.HTTPError:
            if (ended := limit.offered) is None:
                raise
            # Prefect's engine gives up after a minute; a server that is restarted or busy may take longer.
            state = flow_run.insist(
                record.id, State(type=StateType(ended.type), name=ended.name, message=ended.message)
            )
        finally:
            watch.stop()
            limit.stop()
        startup_timeline.mark("flow ended")
        if not state.is_final():
            # Cancelled before it ran: the server does not let a run begin that is Cancelling.
            return self.crash(Cause(Reason.DRIVER_ERROR, f"Prefect did not let the run go on: it is {state.name}"))
        result = run_flow.classify(state, record.id)
        if result.reason is Reason.CLUSTER_STARTUP_FAILED:
            # Prefect took it for the flow's failure, which no other attempt would be allowed to run again.
            return self.crash(Cause(result.reason, result.message))
        return result

    def _not_run(self, course: Course, record: FlowRun) -> Result:
        """End without running the flow, and say why."""
        if course is Course.CANCEL:
            return self.crash(self._shutdown.cancelled())
        if course is Course.REPORT and record.state is not None:
            _say(f"The flow run {record.id} has already ended; it is not run again")
            return run_flow.classify(record.state, record.id)
        # Its state is left alone: that driver may be alive.
        message = f"Another driver has this flow run in hand; attempt {self._env.attempt} does not run it twice"
        return self._failure(ResultType.CRASHED, Reason.DRIVER_ERROR, message)

    def _prefect_is_away(self) -> None:
        message = f"The flow has ended, but Prefect did not record its end within {final_state_limit.LIMIT_S:g} s"
        self._shutdown.request(Reason.PREFECT_UNREACHABLE, message)

    def _was_cancelled(self) -> bool:
        """Tell whether a user has asked for the end that has come; the operator says so in Prefect before it kills."""
        cause = self._shutdown.cause
        if cause is not None and cause.reason is Reason.FLOW_CANCELLED:
            return True
        if self._flow_run_id is None:
            return False
        try:
            with flow_run.cancellation_question(self._flow_run_id, HURRIED_API_TIMEOUT_S) as asked:
                cancelled = asked()
        except Exception:  # whatever keeps Prefect from answering: the end goes on
            return False
        if cancelled:
            self._shutdown.cancelled()
        return cancelled

    def _create(self, client: SyncPrefectClient, flow_name: str) -> FlowRun:
        record = flow_run.create(client, self._env, flow_name)
        self._flow_run_id = record.id
        return record

    def _load_failed(self, client: SyncPrefectClient, message: str) -> Result:
        """Leave a flow run in Prefect that says why nothing ran."""
        informed = True
        try:
            record = self._create(client, fallback_flow_name(self._env.entrypoint))
            flow_run.fail(client, record.id, f"The flow could not be loaded. {message}")
        except Exception as error:  # the result matters more
            _say(f"The failure could not be reported to Prefect: {error}")
            informed = False
        return self._failure(ResultType.FAILED, Reason.FLOW_LOAD_FAILED, message, informed=informed)

    def _failure(self, kind: ResultType, reason: Reason, message: str, *, informed: bool = True) -> Result:
        return Result(
            flow_run_id=str(self._flow_run_id) if self._flow_run_id else None,
            type=kind,
            name=kind.value.capitalize(),
            message=message,
            reason=reason,
            prefect_informed=informed,
        )


def _say(message: str) -> None:
    print(f"[flowrun] {message}", file=sys.stderr, flush=True)  # noqa: T201 - the container's log
