"""Parts shared by both kinds: the typed subset of a pod, conditions, metadata."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

# Kubernetes' own types that are passed on as they are: validated by the API server when the pod is created.
OpaqueObject = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Kubernetes' own times have whole seconds.
Time = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str)]


class ApiModel(BaseModel):
    """Base of every part of the API: camelCase outside, snake_case inside."""

    # An error must not carry a run's parameters or environment into the log.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", hide_input_in_errors=True
    )

    def to_api(self) -> dict[str, Any]:
        """Return the object as the API server stores it: camelCase, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _fraction_as_text(value: Any) -> Any:
    """Return a number with a fraction as a pod would read it: 0.5, 5.36870912e+8."""
    if isinstance(value, bool):
        raise ValueError("a quantity is a number or a text such as 500m or 2Gi")
    if not isinstance(value, float):
        return value
    exact = Decimal(repr(value))  # not Decimal(value), which is 0.1000000000000000055...
    return format(exact.to_integral_value() if exact == exact.to_integral_value() else exact, "f")


Quantity = Annotated[int | str, BeforeValidator(_fraction_as_text)]
# A pod takes `cpu: 0.5`, and the schema type int-or-string would refuse it (argo-rollouts#101). No schema can say "a
# number or a text": what is neither is told in the status.
Quantities = Annotated[
    dict[str, Quantity], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]


class Resources(ApiModel):
    """Requests and limits of a container, as in a pod."""

    requests: Quantities | None = Field(
        None, description="What is reserved: quantities as numbers or texts, such as 0.5, 500m, 2Gi."
    )
    limits: Quantities | None = Field(
        None, description="What may be used at most. A Dask worker plans with its memory: it spills and pauses by it."
    )


class SecretKey(ApiModel):
    """A key of a Secret in the run's namespace."""

    name: str = Field(min_length=1, max_length=253, description="The Secret, in the namespace of the object.")
    key: str = Field(default="key", min_length=1, max_length=253, description="The key in that Secret.")


LabelValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]


class PodMetadata(ApiModel):
    """What all pods carry beside the operator's own labels."""

    labels: dict[str, LabelValue] | None = Field(
        None,
        description="Labels of every child, of whatever kind: pods, Jobs, TaskClusters, Services, Secrets, accounts."
        " For policies that demand them; of flowrun.dev/... the operator's own count.",
    )
    annotations: dict[str, str] | None = Field(None, description="Annotations of every pod.")


class PodSecurity(ApiModel):
    """As whom the processes of all pods run; what is not set is left to the image, or to the platform (OpenShift)."""

    run_as_user: int | None = Field(None, ge=1, le=2**31 - 1, description="User id of all processes; never root.")
    run_as_group: int | None = Field(None, ge=0, le=2**31 - 1, description="Primary group id of all processes.")
    fs_group: int | None = Field(None, ge=0, le=2**31 - 1, description="Group that owns the files of volumes.")


class PodOptions(ApiModel):
    """The subset of a pod that users set often; `podTemplate` reaches everything else."""

    image: str | None = Field(
        None,
        max_length=1024,
        description="Another image for these pods. Default: the run's. Versions of Python, Prefect and the engine must"
        " agree with the driver's.",
    )
    resources: Resources | None = Field(
        None, description="Requests and limits, as in a container. Default: the operator's; replaces them as a whole."
    )
    env: list[OpaqueObject] | None = Field(
        None,
        max_length=256,
        description="Environment, as in a container. Goes before spec.env, and behind the operator's own variables.",
    )
    env_from: list[OpaqueObject] | None = Field(
        None, max_length=64, description="Environment from ConfigMaps and Secrets, as in a container."
    )
    node_selector: dict[str, str] | None = Field(None, description="Labels of the nodes, as in a pod.")
    tolerations: list[OpaqueObject] | None = Field(None, max_length=64, description="Taints tolerated, as in a pod.")
    affinity: OpaqueObject | None = Field(None, description="Affinity, as in a pod.")
    service_account_name: str | None = Field(
        None,
        max_length=253,
        description="ServiceAccount of the pods. Default: the namespace's. No token of it is mounted, but for a driver"
        " that scales its clusters.",
    )
    volumes: list[OpaqueObject] | None = Field(
        None,
        max_length=64,
        description="Volumes added to the operator's: tmp, with Ray shm, flowrun-source and flowrun-work with a source,"
        " flowrun-parameters in the driver. One of such a name that is not mounted stands for the operator's.",
    )
    volume_mounts: list[OpaqueObject] | None = Field(
        None,
        max_length=64,
        description="Mounts, as in a container. One at a path of the operator's own (/tmp, /dev/shm) replaces it.",
    )
    pod_template: OpaqueObject | None = Field(
        None,
        description="A pod template merged over the built pod last; may change anything but the labels by which the"
        " operator finds its children. Objects merge; lists of objects merge by mountPath or name; the main container"
        " is named flowrun.",
    )


class WorkerOptions(PodOptions):
    """The worker pods of a cluster."""

    threads: int = Field(1, ge=1, le=256, description="Tasks that one worker runs at a time.")
    custom_resources: dict[str, Annotated[int, Field(ge=0)]] | None = Field(
        None,
        max_length=32,
        description="What else each worker offers to tasks that ask for it by name, such as {db: 1}. Up to 63 letters,"
        " digits, '_', '.', '/' and '-', beginning with a letter; not CPU, memory or object_store_memory.",
    )


# Engines read names on a command line, and reserve some. The count of CPUs is `threads`.
CUSTOM_RESOURCES_RULE = {
    "rule": "!has(self.customResources) || self.customResources.all(name,"
    " name.matches('^[A-Za-z][A-Za-z0-9_./-]{0,62}$')"
    " && !(name in ['CPU', 'memory', 'object_store_memory']))",
    "message": "customResources: a name has up to 63 letters, digits, '_', '.', '/' and '-', begins with a letter,"
    " and is not CPU, memory or object_store_memory",
    "fieldPath": ".customResources",
}


class PrefectOptions(ApiModel):
    """How the run reaches Prefect. Default: what the operator was installed with."""

    api_url: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^https?://.+",
        description="Prefect's API, ending in /api or the path of a workspace, as the run's pods reach it. Default: the"
        " operator's. If set, the operator's key is not used.",
    )
    api_key_secret: SecretKey | None = Field(
        None, description="Secret with the API key, in the namespace of the object. Default: the operator's, if any."
    )


class GitSource(ApiModel):
    """Code in a git repository. The driver takes one commit of it, and the workers have what the driver has taken."""

    url: str = Field(
        max_length=2048, pattern=r"^https?://[^@]+$", description="URL of the repository, by HTTP, without credentials."
    )
    ref: str = Field(
        "HEAD",
        min_length=1,
        max_length=255,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$",
        description="Branch, tag, or a whole commit id. Default: the repository's default branch.",
    )
    path: str | None = Field(
        None,
        max_length=512,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
        description="Folder of the repository in which the flow works. Default: its root.",
    )
    credentials_secret: SecretKey | None = Field(
        None,
        description="Secret in the run's namespace with a token, or USER:TOKEN, for a repository that not everybody may"
        " read. Only the driver's pod has it.",
    )

    @property
    def told(self) -> str:
        """What whoever fetches it is told, as JSON."""
        return json.dumps({"url": self.url, "ref": self.ref, "path": self.path or ""})


class FlowSource(ApiModel):
    """Where the flow's code comes from when it is not in the image: exactly one of these."""

    config_map: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="ConfigMap whose keys are files; source.tar.gz and source.zip are unpacked.",
    )
    persistent_volume_claim: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="PersistentVolumeClaim, mounted read-only. Driver and workers have the code of a source in their"
        " working directory, /flowrun/work; that of a ConfigMap or claim is mounted at /flowrun/source.",
    )
    git: GitSource | None = Field(None, description="A git repository. Packed, its folder may have 8 MiB.")


class Engine(StrEnum):
    """Which system runs the tasks of a cluster."""

    DASK = "Dask"
    RAY = "Ray"


# The coordinator's port. Those of a run share the driver's network: each has a range of ten from here on.
FIRST_PORTS = {Engine.DASK: 8786, Engine.RAY: 6379}


class ConditionStatus(StrEnum):
    """Status of a condition, in Kubernetes' words."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """A condition by the Kubernetes API conventions."""

    type: str = Field(max_length=316, description="What it is about, such as Succeeded.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(None, ge=0, description="Generation of the spec that it is about.")
    last_transition_time: Time = Field(description="When its status last changed.")
    reason: str = Field(max_length=1024, description="Why, in one word for programs.")
    message: str = Field("", max_length=32768, description="Why, for people.")


def conditions_field(read: str) -> Any:
    """Return the field `conditions` of a status.

    Args:
        read: The types that programs read.
    """
    keys: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return Field(default_factory=list, json_schema_extra=keys, description=f"What programs read: {read}.")


Generation = Annotated[int | None, Field(description="Generation of the spec that this status is about.")]


class Metadata(ApiModel):
    """What the operator reads of an object's metadata."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: list[dict[str, Any]] = Field(default_factory=list)
