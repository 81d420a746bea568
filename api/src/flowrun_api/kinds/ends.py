"""Whose move it is after an attempt, by the reason that its driver gave, and how long its successor waits."""

from flowrun_api.contract import Reason
from flowrun_api.kinds.flowrun import FailureClass

# Ends that come from the flow or its user; every other one is the infrastructure's.
CLASSES: dict[str, FailureClass] = {
    Reason.FLOW_FAILED: FailureClass.FLOW,
    Reason.FLOW_LOAD_FAILED: FailureClass.FLOW,
    Reason.FLOW_CANCELLED: FailureClass.USER,
    Reason.INVALID_PARAMETERS: FailureClass.USER,
}
# After the first failure of the infrastructure, the second, and so on; the last for all that follow.
BACKOFF_S = (0, 5, 15, 30, 60)
