"""Validity: what no schema can refuse at `kubectl apply` and no waiting can mend ends the run at once."""

from datetime import datetime

from flowrun_api.constants import PARAMETERS_LIMIT_BYTES
from flowrun_api.contract import ResultType
from flowrun_api.kinds.flowrun import FailureClass
from flowrun_api.kinds.naming import attempt_name
from flowrun_operator.children import parameters_json
from flowrun_operator.decide.memory import run_shortage
from flowrun_operator.decide.plan import AttemptOutcome, Finish, Verdict
from flowrun_operator.model import RunView


def validity(view: RunView, now: datetime) -> Verdict:
    """Finish a run that can't be started by this operator."""
    if view.current is not None:
        return None
    return _refused_job(view) or _missing_setting(view) or _too_little_memory(view) or _too_many_parameters(view)


def _refused_job(view: RunView) -> Finish | None:
    refused = view.problems.get(attempt_name(view.run.metadata.name, 1))
    if refused is None or refused.reason != "Invalid":
        return None
    # The spec is immutable: no other try would end better.
    return _refuse("InvalidPod", f"the driver can't be created: {refused.message}")


def _too_little_memory(view: RunView) -> Finish | None:
    shortage = run_shortage(view.run, view.defaults)
    return _refuse(shortage.reason, shortage.message) if shortage else None


def _too_many_parameters(view: RunView) -> Finish | None:
    # No schema and no rule in it can measure an object that is open to anything.
    size = len(parameters_json(view.run))
    if size <= PARAMETERS_LIMIT_BYTES:
        return None
    limit = PARAMETERS_LIMIT_BYTES // 2**10
    return _refuse(
        "ParametersTooLarge",
        f"spec.flow.parameters has {-(-size // 2**10)} KiB as JSON, the limit is {limit} KiB:"
        " put large values where the flow can read them, and give it the place",
    )


def _missing_setting(view: RunView) -> Finish | None:
    if not view.prefect_api_url:
        # Without it every process would start a private Prefect server of its own and report to nobody.
        return _refuse(
            "PrefectApiUrlMissing",
            "no Prefect API is known: set spec.prefect.apiUrl, or prefect.apiUrl when installing the chart",
        )
    if not (view.run.spec.image or view.defaults.image):
        return _refuse("ImageMissing", "no image is known: set spec.image, or runtime.image when installing the chart")
    return None


def _refuse(reason: str, message: str) -> Finish:
    return Finish(AttemptOutcome(reason=reason, message=message, type=ResultType.FAILED, failure=FailureClass.USER))
