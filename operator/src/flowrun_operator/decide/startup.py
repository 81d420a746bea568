"""Start-up deadline: a driver that can't start ends its attempt, with what held it up as the reason."""

from datetime import datetime, timedelta

from flowrun_api.contract import ResultType
from flowrun_api.kinds.flowrun import FailureClass
from flowrun_operator.decide.plan import AttemptOutcome, Finish, Verdict
from flowrun_operator.model import RunView


def startup(view: RunView, now: datetime) -> Verdict:
    """Finish a run whose driver did not run in time."""
    current = view.current
    if current is None or current.job is None or current.job.created_at is None:
        return None
    if current.driver is not None and current.driver.running:
        return None
    limit = timedelta(seconds=view.run.spec.startup_deadline_seconds)
    if now < current.job.created_at + limit:
        return None
    problem = (current.driver.problem if current.driver else None) or current.job.problem
    held_up = f": {problem.reason}: {problem.message}" if problem else ""
    outcome = AttemptOutcome(
        reason="StartupDeadlineExceeded",
        message=f"the driver did not run within {view.run.spec.startup_deadline_seconds} s{held_up}",
        type=ResultType.CRASHED,
        failure=FailureClass.USER,
        reported=False,
    )
    return Finish(outcome, stop_driver=True)
