"""What a decision may ask for. Actions are data: `loop.act` is the only place that carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any

from flowrun_api.contract import ResultType
from flowrun_api.kinds.flowrun import FailureClass, FlowRunStatus, PrefectFlowRun
from flowrun_api.kinds.taskcluster import TaskClusterStatus


@dataclass(frozen=True)
class Create:
    """Create an object; one of the same name that is ours counts as created."""

    manifest: dict[str, Any]
    owner_uid: str


@dataclass(frozen=True)
class Delete:
    """Delete one object, if it is still the one meant.

    Without a uid it is the name that says so: names of what an attempt has for itself hold its run's uid.
    """

    kind: str
    name: str
    uid: str = ""
    grace_s: int | None = None


@dataclass(frozen=True)
class DeleteWorkers:
    """Delete all worker pods of an attempt at once."""

    run: str
    attempt: int
    grace_s: int = 1


@dataclass(frozen=True)
class EndSidecars:
    """Have the kubelet stop what still runs in a pod; the pod stays, with the log of what has ended."""

    pod: str
    uid: str


@dataclass(frozen=True)
class Scale:
    """Set the number of workers of a TaskCluster, unless it was changed since it was read."""

    name: str
    replicas: int
    resource_version: str


@dataclass(frozen=True)
class Confirm:
    """Ask the API server itself whether a Job exists, before its absence from the cache means anything (F06)."""

    job: str


# Reason of an attempt that was stopped by a suspension: no failure.
STOPPED = "Stopped"


@dataclass(frozen=True)
class ConfirmPod:
    """Ask the API server itself for the pod of a Job that has failed: the pod holds the result (F06)."""

    run: str
    attempt: int
    job: str


# A pod or Job that is silent for this long is asked why.
EXPLAIN_AFTER_S = 3.0


@dataclass(frozen=True)
class Explain:
    """Read the events of an object that is stuck without saying why."""

    uid: str


@dataclass(frozen=True)
class LookAtRoom:
    """Read the namespace's quotas: is there room for one more run?"""


@dataclass(frozen=True)
class LookUpFlowRun:
    """Find the attempt's flow run in Prefect."""

    attempt: int
    api_url: str


class Waiting(StrEnum):
    """State, in Prefect, of a flow run between two attempts."""

    AWAITING_RETRY = "AwaitingRetry"
    SUSPENDED = "Suspended"


@dataclass(frozen=True)
class ReportToPrefect:
    """Tell Prefect what a driver could not: the end of the run, or that another attempt follows. Repair task runs.

    Done in the background; what Prefect has heard is in the next view (`told`), by the report's id.
    """

    attempt: int
    api_url: str
    type: ResultType | Waiting
    message: str

    @property
    def id(self) -> str:
        """What tells this report from the run's other ones."""
        return f"{self.attempt}-{self.type}"


@dataclass(frozen=True)
class DropReport:
    """Let go of a report that is under way: the next driver is about to speak for the run."""


@dataclass(frozen=True)
class AnnounceCancel:
    """Set the flow run Cancelling before its driver is stopped; a second is all that it may take."""

    api_url: str


Action = (
    Create
    | Delete
    | DeleteWorkers
    | EndSidecars
    | Scale
    | Confirm
    | ConfirmPod
    | Explain
    | LookAtRoom
    | LookUpFlowRun
    | ReportToPrefect
    | DropReport
    | AnnounceCancel
)


@dataclass(frozen=True)
class Plan:
    """The outcome of one decision."""

    actions: tuple[Action, ...] = ()
    # Carried out before the others, stage by stage; if one is refused the rest is left for the next time.
    first: tuple[tuple[Action, ...], ...] = ()
    status: FlowRunStatus | TaskClusterStatus | None = None
    # A final status is written at once; others wait a moment for company (fewer writes).
    final: bool = False
    # Only for the object as it is, asked of the API server: what one reads of it may be old (F06).
    fresh: bool = False
    # What an attempt that starts is about to take of the namespace's quotas.
    takes: Mapping[str, Fraction] = field(default_factory=dict)
    requeue_after_s: float | None = None


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended."""

    reason: str
    message: str
    type: ResultType
    # Whose move it is; None for a flow that completed.
    failure: FailureClass | None
    # False: the driver could not tell Prefect, so we do.
    reported: bool = True
    flow_run: PrefectFlowRun | None = None

    @property
    def infrastructure(self) -> bool:
        """Whether it may be retried: a flow that failed has given its result."""
        return self.failure is FailureClass.INFRASTRUCTURE


# Verdicts of the policies. None = no opinion, the next policy decides.


@dataclass(frozen=True)
class Ignore:
    """The object belongs to another controller."""


@dataclass(frozen=True)
class Expire:
    """The record's time is over: delete the FlowRun."""


@dataclass(frozen=True)
class Settle:
    """The result stands; remove what is left, look again later."""

    check_after_s: float


@dataclass(frozen=True)
class Hold:
    """Nothing may run; an active attempt is stopped."""

    reason: str
    message: str


@dataclass(frozen=True)
class Finish:
    """The run has its result."""

    outcome: AttemptOutcome
    stop_driver: bool = False


@dataclass(frozen=True)
class CloseAttempt:
    """The attempt failed and gets a successor: its end is recorded before that exists, or a crash would lose it."""

    outcome: AttemptOutcome


@dataclass(frozen=True)
class StartAttempt:
    """Start a driver and its clusters, `wait_s` from now."""

    number: int
    wait_s: float = 0.0
    # What ended the attempt before, if any: its reason.
    failed: str | None = None


@dataclass(frozen=True)
class Await:
    """Attempt `number` is next, and may not start before something has happened that no deadline of ours brings."""

    number: int
    reason: str
    message: str
    check_after_s: float | None = None


@dataclass(frozen=True)
class Measure:
    """An attempt is about to start, and nobody has looked lately whether there is room for it."""


@dataclass(frozen=True)
class Continue:
    """The attempt goes on; look again after `check_after_s` at the latest."""

    check_after_s: float | None = None


Verdict = Ignore | Expire | Settle | Hold | Finish | CloseAttempt | StartAttempt | Await | Measure | Continue | None
