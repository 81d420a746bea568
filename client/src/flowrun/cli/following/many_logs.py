"""The logs of many pods: one after the other, or all at once while they come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from flowrun.cli.following.pod_log import WHOLE, PodLog, Source, Window
from flowrun.kube.container_state import ended, started
from flowrun.problem import Gone, Problem, Unreachable

Raw = dict[str, Any]
Take = Callable[[Raw, str], None]

_POLL_S = 0.5
# After the last pod's end: what is on the way still comes, and a dead connection does not hold the command.
_REST_S = 10.0


class ManyLogs:
    """Gives the lines of pods, each with its pod, to a function.

    Args:
        source: where logs are read.
        look: returns the pods as they are now.
        take: takes a pod and a line of it; never called by two threads at once.
        window: of what there is already.
    """

    def __init__(self, source: Source, look: Callable[[], list[Raw]], take: Take, window: Window = WHOLE) -> None:
        self._source = source
        self._look = look
        self._take = take
        self._window = window
        self._pods: dict[str, Raw] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._lines = 0

    def read(self) -> bool:
        """Give what there is, pod after pod.

        Returns:
            whether there is any pod that has started.

        Raises:
            Problem: the cluster does not tell of the pods.
        """
        pods = [pod for pod in self._look() if started(pod)]
        for pod in pods:
            try:
                self._log(pod).read(follow=False)
            except Problem as problem:
                self._tell(pod, f"flowrun: {problem}")
        return bool(pods)

    def follow(self, is_over: Callable[[], bool]) -> bool:
        """Give the lines of all pods as they are written.

        Args:
            is_over: returns whether no more pods will come.

        Returns:
            whether there was any pod.

        Raises:
            Problem: the cluster does not tell of the pods.
        """
        over = False
        while not over:
            over = is_over()  # before the look: what starts after it is seen by the next
            try:
                self._see(self._look())
            except Unreachable:
                over = False  # it is back in a moment
            if not over:
                time.sleep(_POLL_S)
        self._wait_for_the_rest()
        return bool(self._threads)

    def _see(self, pods: list[Raw]) -> None:
        self._pods = {pod["metadata"]["uid"]: pod for pod in pods}
        for uid, pod in self._pods.items():
            if uid not in self._threads and started(pod):
                thread = threading.Thread(target=self._follow_one, args=(pod,), daemon=True)
                self._threads[uid] = thread
                thread.start()

    def _follow_one(self, pod: Raw) -> None:
        uid, log, told = pod["metadata"]["uid"], self._log(pod), False
        while True:
            was_there = self._pods.get(uid)  # before the reading: whatever it wrote until then is read
            try:
                log.read()
                if was_there is None or ended(was_there):
                    return
            except Gone:
                return
            except Unreachable as problem:  # also of a pod that is over: how long, `_wait_for_the_rest` decides
                if not told:
                    self._tell(pod, f"flowrun: {problem}; trying again")
                told = True
            except Problem as problem:
                self._tell(pod, f"flowrun: {problem}")
                return
            time.sleep(_POLL_S)

    def _wait_for_the_rest(self) -> None:
        self._pods = {}
        while any(thread.is_alive() for thread in self._threads.values()):
            before, end = self._lines, time.monotonic() + _REST_S
            for thread in self._threads.values():
                thread.join(max(0.0, end - time.monotonic()))
            if self._lines == before:
                return

    def _log(self, pod: Raw) -> PodLog:
        return PodLog(self._source, pod["metadata"]["name"], lambda line: self._tell(pod, line), self._window)

    def _tell(self, pod: Raw, line: str) -> None:
        with self._lock:
            self._lines += 1
            self._take(pod, line)
