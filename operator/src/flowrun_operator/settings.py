"""The operator's settings, from its environment (prefix FLOWRUN_OPERATOR_)."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowrun_operator.api.common import Engine, Resources
from flowrun_operator.model import Defaults


class Settings(BaseSettings):
    """What an installation decides."""

    model_config = SettingsConfigDict(env_prefix="FLOWRUN_OPERATOR_", env_ignore_empty=True)

    namespaces: str = ""  # comma-separated; empty: the whole cluster
    default_image: str = ""
    default_image_pull_policy: str | None = None
    default_driver_resources: Resources | None = None
    default_worker_resources: Resources | None = None
    # What a Dask scheduler or a Ray head adds to the container in which it runs.
    default_dask_coordinator_resources: Resources | None = None
    default_ray_coordinator_resources: Resources | None = None
    prefect_api_url: str | None = None
    prefect_api_key: SecretStr | None = None
    prefect_ui_url: str | None = None
    log_level: str = "info"
    log_format: Literal["json", "text"] = "json"
    port: int = 8080

    @property
    def namespace_list(self) -> list[str]:
        """The namespaces to watch; empty for all."""
        return [name.strip() for name in self.namespaces.split(",") if name.strip()]

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
            coordinator_resources={engine: added for engine, added in coordinators.items() if added is not None},
            prefect_api_url=self.prefect_api_url,
            prefect_ui_url=self.prefect_ui_url,
            prefect_api_key_set=self.prefect_api_key is not None,
        )
