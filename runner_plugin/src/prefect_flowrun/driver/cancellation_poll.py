"""Notice that a user cancels the flow run in Prefect.

By asking, not by Prefect's event stream: the server puts every event of every run through the filter of every
subscriber, so a thousand drivers that listen cost it more than a thousand that ask a small question now and then.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from flowrun_api import environment

# Tasks and pods of a cancelled run have to be gone in 10 s.
INTERVAL_S = float(os.environ.get(environment.CANCEL_POLL_SECONDS, "3"))
# A server that takes long to answer is asked less often: it never spends more than a thirtieth of its time on a driver.
PAUSE_PER_ANSWER = 30
# A server that does not answer has other worries.
LONGEST_INTERVAL_S = 30.0


class CancelWatch:
    """A thread that asks again and again until the answer is yes. An answer that does not come harms nobody."""

    def __init__(
        self,
        question: Callable[[], AbstractContextManager[Callable[[], bool]]],
        on_cancel: Callable[[], None],
        interval: float = INTERVAL_S,
    ) -> None:
        """Prepare; `start` starts.

        Args:
            question: entered in the watch's thread; gives a function that asks whether the run is to be cancelled.
                What that raises counts as no.
            on_cancel: called once, in the watch's thread.
            interval: seconds between questions.
        """
        self._question = question
        self._on_cancel = on_cancel
        self._interval = interval
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start asking."""
        threading.Thread(target=self._watch, name="flowrun-cancel-watch", daemon=True).start()

    def stop(self) -> None:
        """Ask no more. An answer that is already on its way is ignored."""
        self._stopped.set()

    def _watch(self) -> None:
        with self._question() as asked:
            wait = self._interval
            # Not all drivers of a server in step.
            while not self._stopped.wait(wait * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
                begin = time.monotonic()
                try:
                    cancelled = asked()
                    pause = PAUSE_PER_ANSWER * (time.monotonic() - begin)
                    wait = min(LONGEST_INTERVAL_S, max(self._interval, pause))
                except Exception:  # Prefect is away, which is no reason to stop what it does not run
                    cancelled = False
                    wait = min(LONGEST_INTERVAL_S, wait * 2)
                if cancelled and not self._stopped.is_set():
                    self._on_cancel()
                    return
