"""What `decide` sees: one snapshot of a run or a cluster, made from the cache without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from flowrun_api.kinds.common import Engine, PodSecurity, Resources
from flowrun_api.kinds.flowrun import FlowRun, PrefectFlowRun
from flowrun_api.kinds.naming import attempt_name
from flowrun_api.kinds.taskcluster import TaskCluster


@dataclass(frozen=True)
class Defaults:
    """The operator's own settings that end up in children."""

    image: str
    image_pull_policy: str | None = None
    driver_resources: Resources | None = None
    worker_resources: Resources | None = None
    pod_security_context: PodSecurity | None = None
    # What a coordinator adds to the container in which it runs.
    coordinator_resources: Mapping[Engine, Resources] = field(default_factory=dict)
    prefect_api_url: str | None = None
    prefect_ui_url: str | None = None
    # The key itself goes only into a Secret beside the run; here we know just that there is one.
    prefect_api_key_set: bool = False


@dataclass(frozen=True)
class Problem:
    """Something that keeps an object from working, in words that its user can act on."""

    reason: str
    message: str
    # The ordinary course of things, told because it may take long: an image is being pulled.
    passing: bool = False


@dataclass(frozen=True)
class Terminated:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    finished_at: datetime | None


@dataclass(frozen=True)
class PodFacts:
    """What matters of a pod."""

    name: str
    uid: str
    phase: str
    created_at: datetime | None
    running: bool = False
    ready: bool = False
    deleting: bool = False
    terminated: Terminated | None = None
    problem: Problem | None = None
    node: str = ""
    # The node does not answer: its containers may run on, and the API server goes on saying that they do.
    unreachable: bool = False
    # Why Kubernetes ends the pod: condition DisruptionTarget, or Kueue's TerminationTarget.
    disruption: Problem | None = None
    # The main container has ended, another one has not: a sidecar keeps the pod, and its Job, from ending.
    lingers: bool = False
    # Its kubelet has been told to end it.
    overdue: bool = False

    @property
    def ended(self) -> bool:
        """Whether no process of the main container runs any more, for certain (see `decide.fencing`)."""
        return self.terminated is not None or self.phase in {"Succeeded", "Failed"}

    @property
    def live(self) -> bool:
        """Whether the pod runs or still may: neither ended nor being deleted."""
        return not self.deleting and not self.ended

    @property
    def silent(self) -> bool:
        """Whether the pod does not run and nothing is known that keeps it from it, or that may be over by now."""
        return self.live and not self.running and (self.problem is None or self.problem.passing)


@dataclass(frozen=True)
class JobFacts:
    """What matters of an attempt's Job."""

    name: str
    uid: str
    created_at: datetime | None
    deleting: bool = False
    finished: bool = False
    succeeded: bool = False
    # Set as soon as the Job is doomed (condition FailureTarget) or has failed.
    failure: Problem | None = None
    # Said by the job controller's events while it can't create the pod.
    problem: Problem | None = None


@dataclass(frozen=True)
class ClusterFacts:
    """A TaskCluster as its run sees it."""

    name: str
    object_name: str
    uid: str
    engine: Engine
    address: str | None
    workers: int
    ready_workers: int
    deleting: bool = False
    problem: Problem | None = None


@dataclass(frozen=True)
class AttemptView:
    """One attempt: its Job, driver pod and clusters, as far as they exist."""

    number: int
    job: JobFacts | None
    driver: PodFacts | None
    clusters: tuple[ClusterFacts, ...] = ()
    worker_pods: int = 0
    # Of these, how many have not ended yet.
    live_workers: int = 0
    # Workers whose sidecars have not ended with them.
    lingering_workers: tuple[PodFacts, ...] = ()
    # What a worker said that can never work in this cluster: it has another Ray or Python than the driver.
    unfit_worker: str | None = None
    # The API server itself said that there is no such Job: its absence from the cache proves nothing (F06).
    job_gone: bool = False
    # The same of the Job's pod.
    pod_gone: bool = False


@dataclass(frozen=True)
class Room:
    """What a namespace has for one more run, as seen by one that is about to start."""

    # What its quotas leave, by resource, less what others that have begun are still to take. Empty: it has no quota.
    left: Mapping[str, Fraction] = field(default_factory=dict)
    # Other runs that have begun and still have something.
    others: int = 0
    # An older run that waits for room.
    ahead: str = ""


@dataclass(frozen=True)
class RunView:
    """A FlowRun and all that belongs to it."""

    run: FlowRun
    attempts: tuple[AttemptView, ...]
    defaults: Defaults
    # Refusals of the API server, by the child's name, until a create succeeds.
    problems: Mapping[str, Problem] = field(default_factory=dict)
    # Names of Jobs of which the API server said that they don't exist.
    gone_jobs: frozenset[str] = frozenset()
    # Prefect's record of the current attempt, once it was found.
    flow_run: PrefectFlowRun | None = None
    # Every driver's pod of this run, those too whose Job is gone.
    drivers: tuple[PodFacts, ...] = ()
    # The Job that tells Prefect the end, and the last report that Prefect has heard from the operator (its id).
    report_job: JobFacts | None = None
    report_pod: PodFacts | None = None
    told: str = ""
    # The newest attempt whose Job or driver was ever seen: it is not made anew if both go before it is recorded (F14).
    begun: int = 0
    # None: nobody has looked lately.
    room: Room | None = None

    @property
    def finished(self) -> bool:
        """Whether the run has its result. It is never changed again."""
        return any(c.type == "Succeeded" and c.status != "Unknown" for c in self.run.status.conditions)

    @property
    def prefect_api_url(self) -> str | None:
        """The Prefect API of this run: its own, else the operator's."""
        return self.run.spec.prefect.api_url or self.defaults.prefect_api_url

    @property
    def current(self) -> AttemptView | None:
        """The newest attempt, found by its Job, by the status that recorded it, or because it was seen before."""
        recorded = max((a.number for a in self.run.status.attempts), default=0)
        existing = max((a.number for a in self.attempts), default=0)
        number = max(recorded, existing, self.begun)
        if number == 0:
            return None
        gone = attempt_name(self.run.metadata.name, number) in self.gone_jobs
        missing = AttemptView(number, job=None, driver=None, job_gone=gone)
        return next((a for a in self.attempts if a.number == number), missing)


@dataclass(frozen=True)
class WorkerFacts:
    """A worker pod and its index within the cluster."""

    index: int
    pod: PodFacts


@dataclass(frozen=True)
class ClusterView:
    """A TaskCluster and its children."""

    cluster: TaskCluster
    service_exists: bool
    workers: tuple[WorkerFacts, ...]
    # The coordinator's pod has ended or is gone: workers are about to leave and none is replaced.
    coordinator_ended: bool
    problems: Mapping[str, Problem] = field(default_factory=dict)
    # The pod of a standalone cluster's coordinator; a run's is the driver's business.
    coordinator: PodFacts | None = None
    # Of a run's cluster: whether the driver's pod has a node, and if not, what is known to keep it from one.
    driver_placed: bool = True
    driver_held_up: Problem | None = None
    defaults: Defaults = field(default_factory=lambda: Defaults(image=""))
