"""What the operator knows: raw objects by kind, filled by watch events and by our own writes.

Feeding our writes back keeps decisions from repeating themselves before the watch has echoed them; an older event never
overwrites a newer object (resource versions of a kind are ordered since Kubernetes 1.35, and were in practice before).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from flowrun_api.constants import LABEL_ROLE, LABEL_RUN_UID, ROLE_DRIVER
from flowrun_api.kinds.flowrun import PrefectFlowRun
from flowrun_operator.loop.refusals import Refusals
from flowrun_operator.model import Problem
from flowrun_operator.observe.fields import Raw, at, attempt_number, family, label, owner_name, owner_uid

# Nobody takes a standby's deleted runs: no more than a burst of them is kept.
_DELETED = 1000
_BEGUN = 10_000
CHILD_KINDS = ("Job", "TaskCluster", "Pod", "Service")


class Cache:
    """Raw objects and what was learnt about them."""

    def __init__(self, refusals: Refusals | None = None) -> None:
        self.refusals = refusals or Refusals()
        self._objects: dict[str, dict[tuple[str, str], Raw]] = defaultdict(dict)
        self._by_run: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._gone: dict[str, int] = {}
        # Refused creates by (namespace, name); events' words by uid; Prefect's records by run uid and attempt.
        self.problems: dict[tuple[str, str], Problem] = {}
        self.explanations: dict[str, Problem] = {}
        # Jobs of which the API server said that they don't exist, by (namespace, name).
        self.gone_jobs: set[tuple[str, str]] = set()
        # Jobs of which it said that they have no pod.
        self.podless_jobs: set[tuple[str, str]] = set()
        self.flow_runs: dict[str, dict[int, PrefectFlowRun]] = defaultdict(dict)
        # Whether every kind has been listed once.
        self.complete = False
        # FlowRuns that were deleted, as they were last known, until somebody takes them.
        self._deleted: dict[str, Raw] = {}
        # The last report that Prefect has heard, by run uid.
        self.told: dict[str, str] = {}
        # The newest attempt whose Job or driver was seen, by namespace and run uid: both may be deleted before a status
        # tells of it.
        self.begun: dict[tuple[str, str], int] = {}

    def feed(self, kind: str, raw: Raw) -> bool:
        """Store an object; return whether it was news."""
        self._note_begun(raw)
        namespace, name = at(raw, "metadata", "namespace") or "", at(raw, "metadata", "name")
        known = self._objects[kind].get((namespace, name))
        same_object = known is not None and at(known, "metadata", "uid") == at(raw, "metadata", "uid")
        if same_object and _version(known) >= _version(raw):
            return False
        if at(raw, "metadata", "uid") in self._gone:
            return False
        run = family(raw)
        if known is not None:  # its label may have been changed by hand
            self._by_run[kind, namespace, family(known)].discard(name)
        self._objects[kind][namespace, name] = raw
        if kind == "Job":
            self.gone_jobs.discard((namespace, name))
        if run:
            self._by_run[kind, namespace, run].add(name)
        return True

    def forget(self, kind: str, raw: Raw) -> None:
        """Remove an object that was deleted."""
        self._note_begun(raw)
        namespace, name = at(raw, "metadata", "namespace") or "", at(raw, "metadata", "name")
        uid = at(raw, "metadata", "uid")
        known = self._objects[kind].get((namespace, name))
        if known is not None and at(known, "metadata", "uid") == uid:
            del self._objects[kind][namespace, name]
            if kind == "FlowRun":
                self._deleted[uid] = raw
                while len(self._deleted) > _DELETED:
                    self._deleted.pop(next(iter(self._deleted)))
            siblings = self._by_run[kind, namespace, family(known)]
            siblings.discard(name)
            if not siblings:  # or the operator would grow with every run
                del self._by_run[kind, namespace, family(known)]
        # A write of ours that returns after the object's deletion must not bring it back.
        self._gone[uid] = 1
        while len(self._gone) > 10_000:
            self._gone.pop(next(iter(self._gone)))
        self.explanations.pop(uid, None)
        self.problems.pop((namespace, name), None)
        self.refusals.accepted((namespace, name))  # the name is free
        if kind == "FlowRun":
            self.flow_runs.pop(uid, None)
            self.told.pop(uid, None)
            self.begun.pop((namespace, uid), None)
            is_its = self._names_of(namespace, name)
            for where in [w for w in self.problems if w[0] == namespace and is_its(w[1])]:
                del self.problems[where]
            for jobs in (self.gone_jobs, self.podless_jobs):
                jobs -= {w for w in jobs if w[0] == namespace and is_its(w[1])}

    def _note_begun(self, raw: Raw) -> None:
        run_uid = label(raw, LABEL_RUN_UID)
        if label(raw, LABEL_ROLE) != ROLE_DRIVER or not run_uid or run_uid in self._gone:
            return
        if owner_uid(raw) != run_uid and not owner_name(raw, "Job"):
            return  # anybody may write such labels (issue 13)
        where = (at(raw, "metadata", "namespace") or "", run_uid)
        self.begun[where] = max(attempt_number(raw), self.begun.pop(where, 0))
        while len(self.begun) > _BEGUN:  # of runs deleted while nobody watched
            self.begun.pop(next(iter(self.begun)))

    def _names_of(self, namespace: str, run: str) -> Callable[[str], bool]:
        """Return what tells the names of a run's children: those of the run `a-1` begin like those of the run `a`."""
        prefix = f"{run}-"
        runs = [name for ns, name in self._objects["FlowRun"] if ns == namespace]
        longer = tuple(f"{name}-" for name in runs if name.startswith(prefix))
        return lambda child: child.startswith(prefix) and not child.startswith(longer)

    def take_deleted(self, namespace: str, name: str) -> list[Raw]:
        """Return the deleted FlowRuns of a name as they were last known, each once."""
        where = (namespace, name)
        gone = [(uid, at(raw, "metadata")) for uid, raw in self._deleted.items()]
        uids = [uid for uid, metadata in gone if (metadata.get("namespace"), metadata["name"]) == where]
        return [self._deleted.pop(uid) for uid in uids]

    def drop_deleted(self) -> None:
        """Forget the deleted FlowRuns: they were another operator's."""
        self._deleted.clear()

    def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        """Return an object, or None."""
        return self._objects[kind].get((namespace, name))

    def of_run(self, kind: str, namespace: str, run: str) -> list[Raw]:
        """Return the objects of a kind that carry a run's label, or that of a standalone cluster (`fields.family`)."""
        names = self._by_run.get((kind, namespace, run), set())
        return [self._objects[kind][namespace, name] for name in sorted(names)]

    def all(self, kind: str) -> Iterator[Raw]:
        """Iterate over the objects of a kind."""
        return iter(list(self._objects[kind].values()))

    def gone_jobs_in(self, namespace: str) -> frozenset[str]:
        """Return the names of Jobs that are known not to exist."""
        return frozenset(name for ns, name in self.gone_jobs if ns == namespace)

    def podless_jobs_in(self, namespace: str) -> frozenset[str]:
        """Return the names of Jobs that are known to have no pod."""
        return frozenset(name for ns, name in self.podless_jobs if ns == namespace)

    def problems_in(self, namespace: str) -> dict[str, Problem]:
        """Return refused creates of a namespace by name."""
        return {name: problem for (ns, name), problem in self.problems.items() if ns == namespace}


def _version(raw: Raw | None) -> int:
    text = str(at(raw, "metadata", "resourceVersion") or "0")
    return int(text) if text.isdecimal() else 0
