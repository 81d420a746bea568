"""What an attempt does with the flow run that it finds in Prefect.

All attempts of a FlowRun are one flow run there. The first creates it; a later one finds it in whatever state a driver
that may be dead has left it, and so does a driver that is started twice for one attempt. The label with the number of
the attempt that has it in hand tells these apart: it is written when an attempt takes the flow run over, after the
state.
"""

from __future__ import annotations

from enum import Enum, auto

ATTEMPT_LABEL = "flowrun.dev/attempt"


class Course(Enum):
    """What to do with the flow run."""

    RUN = auto()  # new, or taken over by this attempt and not begun
    TAKE_OVER = auto()  # left behind by an attempt before this one
    REPORT = auto()  # it has ended, and that is the end of this attempt too
    CANCEL = auto()  # a user has asked for its end
    REFUSE = auto()  # in the hands of another driver, dead or alive


def decide(state_type: str, owner: int, attempt: int) -> Course:
    """Decide what attempt number `attempt` does with the flow run.

    A flow run is never run twice behind its user's back: one that a driver of this same attempt has begun is left to
    the operator, which starts another attempt if it may.

    Args:
        state_type: Prefect's type of the flow run's state, e.g. "CRASHED".
        owner: number of the attempt that has it in hand; 0 if that is unknown.
        attempt: number of this attempt.
    """
    if owner > attempt:
        return Course.REFUSE
    if state_type == "CANCELLING":
        return Course.CANCEL
    if state_type in ("COMPLETED", "FAILED", "CANCELLED"):
        return Course.REPORT
    if owner < attempt:
        return Course.TAKE_OVER
    # A crash is this attempt's own end only if this attempt had the run in hand.
    if state_type == "CRASHED":
        return Course.REPORT
    return Course.RUN if state_type == "PENDING" else Course.REFUSE


def owner_of(labels: dict[str, object]) -> int:
    """Read the number of the attempt that has a flow run in hand; 0 if the label is missing or no number.

    Args:
        labels: of the flow run.
    """
    number = str(labels.get(ATTEMPT_LABEL, ""))
    return int(number) if number.isdecimal() else 0
