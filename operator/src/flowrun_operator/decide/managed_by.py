"""Managed by: is this object ours to reconcile?

`spec.managedBy` is that of JobSet and Kueue's MultiKueue.
"""

from datetime import datetime

from flowrun_api.constants import MANAGER
from flowrun_operator.decide.plan import Ignore, Verdict
from flowrun_operator.model import RunView


def managed_by(view: RunView, now: datetime) -> Verdict:
    """Leave objects of other controllers alone."""
    return None if view.run.spec.managed_by == MANAGER else Ignore()
