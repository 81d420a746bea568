"""Validity: what no schema can refuse at `kubectl apply` and no waiting can mend ends the run at once."""

from datetime import datetime

from flowrun_operator.contract import ResultType
from flowrun_operator.decide.plan import AttemptOutcome, Finish, Verdict
from flowrun_operator.engines import ENGINES
from flowrun_operator.model import RunView


def validity(view: RunView, now: datetime) -> Verdict:
    """Finish a run that can't be started by this operator."""
    if view.current is not None:
        return None
    for cluster in view.run.spec.clusters:
        if cluster.engine not in ENGINES:
            return _refuse(
                "EngineNotSupported",
                f"cluster {cluster.name!r}: this operator has no engine {cluster.engine.value} yet; it has: "
                + ", ".join(engine.value for engine in ENGINES),
            )
        if cluster.activation != "OnStart":
            return _refuse(
                "ActivationNotSupported",
                f"cluster {cluster.name!r}: activation {cluster.activation.value} is not supported yet; use OnStart",
            )
    if not (view.run.spec.prefect.api_url or view.defaults.prefect_api_url):
        # Without it every process would start a private Prefect server of its own and report to nobody.
        return _refuse(
            "PrefectApiUrlMissing",
            "no Prefect API is known: set spec.prefect.apiUrl, or prefect.apiUrl when installing the chart",
        )
    if not (view.run.spec.image or view.defaults.image):
        return _refuse("ImageMissing", "no image is known: set spec.image, or runtime.image when installing the chart")
    return None


def _refuse(reason: str, message: str) -> Finish:
    return Finish(AttemptOutcome(reason=reason, message=message, type=ResultType.FAILED, infrastructure=False))
