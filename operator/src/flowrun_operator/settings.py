"""The operator's settings, from its environment (prefix FLOWRUN_OPERATOR_)."""

from __future__ import annotations

import socket
import uuid
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowrun_api.kinds.common import Engine, PodSecurity, Resources
from flowrun_operator.election.election import Terms
from flowrun_operator.model import Defaults

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Settings(BaseSettings):
    """What an installation decides."""

    model_config = SettingsConfigDict(env_prefix="FLOWRUN_OPERATOR_", env_ignore_empty=True)

    namespaces: str = ""  # comma-separated; empty: the whole cluster
    default_image: str = ""
    default_image_pull_policy: str | None = None
    default_driver_resources: Resources | None = None
    default_worker_resources: Resources | None = None
    # {}: no uid and no group are asked for. Not set: those of our images.
    default_pod_security_context: PodSecurity | None = None
    # What a Dask scheduler or a Ray head adds to the container in which it runs.
    default_dask_coordinator_resources: Resources | None = None
    default_ray_coordinator_resources: Resources | None = None
    prefect_api_url: str | None = None
    prefect_api_key: SecretStr | None = None
    prefect_ui_url: str | None = None
    log_level: str = "info"
    log_format: Literal["json", "text"] = "json"
    port: int = 8080
    # False: whoever starts the operator sees to it that there is only one.
    leader_election: bool = True
    lease_name: str = "flowrun-operator"
    lease_namespace: str = ""  # empty: the operator's own; outside a cluster "default"
    lease_duration_s: int = Field(default=15, ge=1)
    renew_deadline_s: float = Field(default=10.0, gt=0)
    retry_period_s: float = Field(default=2.0, gt=0)
    # The chart gives the pod's name: a container that is restarted takes its own Lease up again without waiting.
    identity: str = ""

    @model_validator(mode="after")
    def _lease_terms_fit(self) -> Self:
        # Between deadline and end, a write that is under way comes to its end; within the deadline, more than one try.
        if not self.lease_duration_s > self.renew_deadline_s > 2 * self.retry_period_s:
            raise ValueError("lease_duration_s must be above renew_deadline_s, and that above twice retry_period_s")
        return self

    @property
    def namespace_list(self) -> list[str]:
        """The namespaces to watch; empty for all."""
        return [name.strip() for name in self.namespaces.split(",") if name.strip()]

    def terms(self) -> Terms:
        """Return the terms of the election."""
        own = _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.exists() else "default"
        return Terms(
            namespace=self.lease_namespace or own,
            name=self.lease_name,
            identity=self.identity or f"{socket.gethostname()}_{uuid.uuid4()}",
            duration_s=self.lease_duration_s,
            renew_deadline_s=self.renew_deadline_s,
            retry_period_s=self.retry_period_s,
        )

    def defaults(self) -> Defaults:
        """Return the part of the settings that ends up in children."""
        coordinators = {
            Engine.DASK: self.default_dask_coordinator_resources,
            Engine.RAY: self.default_ray_coordinator_resources,
        }
        return Defaults(
            image=self.default_image,
            image_pull_policy=self.default_image_pull_policy,
            driver_resources=self.default_driver_resources,
            worker_resources=self.default_worker_resources,
            pod_security_context=self.default_pod_security_context,
            coordinator_resources={engine: added for engine, added in coordinators.items() if added is not None},
            prefect_api_url=self.prefect_api_url,
            prefect_ui_url=self.prefect_ui_url,
            prefect_api_key_set=self.prefect_api_key is not None,
        )
