"""Versions: a worker with another Ray or Python than the driver never joins, and no replacement ever would.

Such a worker has an image of its own (`clusters[].workers.image`). The run ends at once instead of when its start-up
time is over; no retry would mend it.
"""

from datetime import datetime

from flowrun_api.contract import VERSION_MISMATCH, ResultType
from flowrun_api.kinds.flowrun import FailureClass
from flowrun_operator.decide.plan import AttemptOutcome, Finish, Verdict
from flowrun_operator.model import RunView


def versions(view: RunView, now: datetime) -> Verdict:
    """Finish a run whose worker says that it does not fit."""
    current = view.current
    if current is None or current.unfit_worker is None:
        return None
    outcome = AttemptOutcome(
        reason=VERSION_MISMATCH,
        message=current.unfit_worker,
        type=ResultType.FAILED,
        failure=FailureClass.USER,
        reported=False,
    )
    return Finish(outcome, stop_driver=True)
