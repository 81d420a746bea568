"""`python -m prefect_flowrun.driver`: one attempt of a FlowRun, from the environment to the result.

The order is by cost: the signal handler first (PID 1 ignores SIGTERM without one), then the coordinators, which come
up while prefect is imported.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from flowrun_api import environment
from flowrun_api.contract import (
    DEFAULT_TERMINATION_LOG,
    ContractError,
    DriverEnvironment,
    Reason,
    Result,
    ResultType,
)
from prefect_flowrun import pid1, startup_timeline
from prefect_flowrun.coordinator.children import Coordinators, EngineMissingError
from prefect_flowrun.driver.exit_handlers import end_process
from prefect_flowrun.driver.shutdown import Cause, Shutdown, Terminated
from prefect_flowrun.source import work_folder
from prefect_flowrun.worker.forked_children import end_at_sigterm

if TYPE_CHECKING:
    from prefect_flowrun.driver.attempt import Attempt

DRAIN_TIMEOUT_S = 5.0
# A head notices that one of its processes has died a moment after Ray has told the driver.
RAY_LOSS_PATIENCE_S = 0.3
# When the process is being ended there is a second or so in all.
HURRIED_DRAIN_TIMEOUT_S = 0.5
# A run that is cancelled in Prefect has all of its pods' 10 s, but nobody waits for its logs.
CANCELLED_DRAIN_TIMEOUT_S = 2.0


class Driver:
    """The process: coordinators, attempt, and an end with a result on every path."""

    def __init__(self, env: DriverEnvironment, shutdown: Shutdown) -> None:
        self._env = env
        self._shutdown = shutdown
        self._coordinators = Coordinators(on_lost=lambda message: shutdown.request(Reason.COORDINATOR_LOST, message))
        self._attempt: Attempt | None = None
        shutdown.on_force(self._end_by_force)

    def main(self) -> None:
        """Run the attempt and end the process."""
        try:
            result = self._run()
        except BaseException as error:  # also SystemExit, and Prefect's TerminationSignal
            result = self._crash(self._cause_of(error))
        self._finish(result)

    def _run(self) -> Result:
        problem = self._start_coordinators()
        end_at_sigterm()  # what the flow forks, not this process
        startup_timeline.mark("coordinators started")
        self._attempt = _new_attempt(self._env, self._shutdown, self._coordinators)
        startup_timeline.mark("prefect imported")
        if problem:
            return self._attempt.refuse(*problem)
        result = self._attempt.run()
        if result.type is not ResultType.COMPLETED and (lost := self._coordinators.check()):
            # The flow saw the loss as some error of the engine's; say what really happened.
            return self._crash(Cause(Reason.COORDINATOR_LOST, lost))
        return result

    def _start_coordinators(self) -> tuple[Reason, str] | None:
        """Start them, and fill the working folder meanwhile; say what no other attempt would find better."""
        try:
            self._coordinators.start(self._env.clusters)
            work_folder.prepare()
        except EngineMissingError as error:
            return Reason.CLUSTER_STARTUP_FAILED, str(error)
        except work_folder.SourceError as error:
            return Reason.FLOW_LOAD_FAILED, str(error)
        except work_folder.SourceUnreachableError as error:
            return Reason.SOURCE_UNREACHABLE, str(error)
        return None

    def _cause_of(self, error: BaseException) -> Cause:
        cause = self._shutdown.cause
        if cause is None and isinstance(error, Terminated):
            cause = self._shutdown.terminated()
        if cause is not None:
            return self._why_terminated(cause)
        traceback.print_exception(error)
        return Cause(Reason.DRIVER_ERROR, f"{type(error).__name__}: {error}")

    def _why_terminated(self, cause: Cause) -> Cause:
        """Find out whether Ray has sent the SIGTERM: it does so to every driver whose raylet has died."""
        on_ray = any(cluster.engine == "Ray" for cluster in self._env.clusters)
        if cause.reason is not Reason.TERMINATED or not on_ray:
            return cause
        lost = self._coordinators.check(RAY_LOSS_PATIENCE_S)
        return Cause(Reason.COORDINATOR_LOST, lost) if lost else cause

    def _crash(self, cause: Cause) -> Result:
        if self._attempt is not None:
            return self._attempt.crash(cause)
        return Result(type=ResultType.CRASHED, name="Crashed", message=cause.message, reason=cause.reason)

    def _end_by_force(self, cause: Cause) -> None:
        self._coordinators.stop()
        self._finish(self._crash(cause))

    def _finish(self, result: Result) -> None:
        """Report and end the process; the first thread to come here does it."""
        self._shutdown.claim_finish()
        # The workers leave as soon as their scheduler is gone, so it goes while our own queues are being emptied.
        stopper = threading.Thread(target=self._coordinators.stop)
        stopper.start()
        self._drain()
        stopper.join()
        _end(result, self._env.termination_log)

    def _drain(self) -> None:
        if self._attempt is None:
            return  # prefect was not even imported
        from prefect_flowrun.worker.drain import drain_process  # noqa: PLC0415 - see the module's docstring

        drain_process(_drain_timeout(self._shutdown.cause))


def main() -> None:
    """Run the attempt that the environment describes; never returns."""
    shutdown = Shutdown()
    shutdown.install_handler()
    startup_timeline.mark("python up")
    if os.getpid() == 1:
        pid1.split_off_driver()
    shutdown.start_watching()
    try:
        env = DriverEnvironment.from_env(os.environ)
    except ContractError as error:
        log = Path(os.environ.get(environment.TERMINATION_LOG, DEFAULT_TERMINATION_LOG))
        _end(Result(type=ResultType.CRASHED, name="Crashed", message=str(error), reason=Reason.DRIVER_ERROR), log)
        return
    Driver(env, shutdown).main()


def _new_attempt(env: DriverEnvironment, shutdown: Shutdown, coordinators: Coordinators) -> Attempt:
    # The import allocates much and frees little: collecting in between is lost time (about a tenth of it).
    gc.disable()
    try:
        from prefect_flowrun.driver import attempt  # noqa: PLC0415 - see the module's docstring
    finally:
        gc.freeze()
        gc.enable()
    return attempt.Attempt(env, shutdown, coordinators)


def _drain_timeout(cause: Cause | None) -> float:
    if cause is None:
        return DRAIN_TIMEOUT_S
    return CANCELLED_DRAIN_TIMEOUT_S if cause.reason is Reason.FLOW_CANCELLED else HURRIED_DRAIN_TIMEOUT_S


def _end(result: Result, termination_log: Path) -> None:
    startup_timeline.mark("end")
    _say(f"timeline in s: {startup_timeline.summary()}")
    _say(f"{result.reason}: {result.name}. {result.message}")
    try:
        result.write(termination_log)
    except OSError as error:
        _say(f"The result could not be written to {termination_log}: {error}")
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit(): leaving the interpreter in order costs up to seconds (threads, open clients).
    end_process(result.exit_code)


def _say(message: str) -> None:
    print(f"[flowrun] {message}", file=sys.stderr, flush=True)  # noqa: T201 - the container's log
