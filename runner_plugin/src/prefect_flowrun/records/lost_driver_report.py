"""`python -m prefect_flowrun.report_end`: tell Prefect the end of an attempt whose driver could not.

Runs to its end, however long Prefect is away; the limit is the Job's. Reads from the environment
FLOWRUN_IDEMPOTENCY_KEY, FLOWRUN_REPORT_TYPE (COMPLETED, CRASHED, CANCELLED, FAILED or AWAITING_RETRY),
FLOWRUN_REPORT_MESSAGE, FLOWRUN_ATTEMPT (may be left out), PREFECT_API_URL, and PREFECT_API_KEY or
PREFECT_API_AUTH_STRING if the server wants one. Does not import prefect, which takes longer than all the rest.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from flowrun_api import environment
from prefect_flowrun.records import close_runs, rest

REQUEST_TIMEOUT_S = 10.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0


class OrderError(ValueError):
    """The environment does not say what to report; the message names the variable."""


@dataclass(frozen=True)
class Order:
    """What to report, and to whom."""

    api_url: str
    key: str
    state_type: str
    message: str
    attempt: int | None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Order:
        """Read the order.

        Args:
            env: usually `os.environ`.

        Raises:
            OrderError: a variable is missing or wrong.
        """
        for variable in ("PREFECT_API_URL", "FLOWRUN_IDEMPOTENCY_KEY"):
            if not env.get(variable):
                raise OrderError(f"{variable} is not set")
        state_type = env.get(environment.REPORT_TYPE, "")
        if state_type not in close_runs.REPORTS:
            raise OrderError(f"FLOWRUN_REPORT_TYPE is none of {', '.join(close_runs.REPORTS)}")
        attempt = env.get(environment.ATTEMPT, "")
        if attempt and not attempt.isdecimal():
            raise OrderError("FLOWRUN_ATTEMPT is not a number")
        return cls(
            api_url=env["PREFECT_API_URL"].rstrip("/"),
            key=env[environment.IDEMPOTENCY_KEY],
            state_type=state_type,
            message=env.get(environment.REPORT_MESSAGE, ""),
            attempt=int(attempt) if attempt else None,
        )


def carry_out(order: Order, client: httpx.Client) -> None:
    """Report until Prefect has heard it.

    Args:
        order: what to report.
        client: with the credentials.
    """
    post = rest.poster(client, order.api_url)
    wait = FIRST_WAIT_S
    while True:
        try:
            known = close_runs.report(post, order.key, order.attempt, order.state_type, order.message)
            break
        # Also refusals: a key that is wrong now may be put right. ValueError: what answers is not Prefect, but a proxy.
        except (httpx.HTTPError, ValueError) as error:
            _say(f"Prefect could not be told, next try in {wait:g} s: {error}")
        time.sleep(wait)
        wait = min(LONGEST_WAIT_S, wait * 2)
    _say("Prefect has been told the end of the run" if known else "Prefect has no such run, or a later attempt has it")


def main() -> None:
    """Carry out the order of the environment; exits with 2 if there is none."""
    # PID 1 ignores a signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    try:
        order = Order.from_env(os.environ)
        httpx.URL(order.api_url)
    except (OrderError, httpx.InvalidURL) as error:
        _say(str(error))
        sys.exit(2)
    with rest.client(os.environ, REQUEST_TIMEOUT_S) as client:
        carry_out(order, client)


def _say(message: str) -> None:
    print(f"[flowrun] {message}", file=sys.stderr, flush=True)  # noqa: T201 - the container's log
