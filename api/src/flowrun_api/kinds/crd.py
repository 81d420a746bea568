"""CRDs from the models: pydantic's JSON schema turned into the structural schema that the API server takes.

Structural schemas know no `$ref`, `anyOf` with null, `const` or titles; CEL rules and list types are added where the
models can't say them. `python -m flowrun_api.kinds.crd DIRECTORY` writes the files (`make generate`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from flowrun_api.constants import CLUSTERS, GROUP, RUNS, VERSION
from flowrun_api.kinds import clusters, flowrun, taskcluster
from flowrun_api.kinds.rules import SOURCE_RULES

_DROPPED = {"title", "discriminator", "$defs"}


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of a model.

    Args:
        model: The pydantic model; field aliases become property names.

    Raises:
        ValueError: For a union that no structural schema can say.
    """
    schema = model.model_json_schema(by_alias=True)
    result = _flatten(schema, schema.get("$defs", {}))
    if not isinstance(result, dict):
        raise TypeError(model)
    return result


def _flatten(node: Any, defs: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_flatten(item, defs) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = defs[node["$ref"].rsplit("/", 1)[-1]]
        return _flatten({**target, **{key: value for key, value in node.items() if key != "$ref"}}, defs)
    if "anyOf" in node:
        return _flatten(_one_of_union(node), defs)
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            flat[key] = {name: _flatten(child, defs) for name, child in value.items()}
        elif key == "default":
            if value not in (None, [], ""):
                flat[key] = value
        elif key == "additionalProperties" and isinstance(value, bool):
            continue  # true goes with x-kubernetes-preserve-unknown-fields, which says it
        elif key not in _DROPPED:
            flat[key] = _flatten(value, defs)
    if flat.get("type") == "integer":
        flat["format"] = "int64" if "generation" in str(node.get("title")).lower() else "int32"
    return flat


def _one_of_union(node: dict[str, Any]) -> dict[str, Any]:
    """Resolve `X | None` to X and `int | str` to Kubernetes' int-or-string."""
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if len(options) == 1:
        return {**options[0], **rest}
    if {option.get("type") for option in options} == {"integer", "string"}:
        return {"x-kubernetes-int-or-string": True, **rest}
    raise ValueError(f"no structural schema for {node}")


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if priority:
        column["priority"] = priority
    return column


def _crd(
    *,
    kind: str,
    plural: str,
    short: str,
    spec: dict[str, Any],
    status: dict[str, Any],
    columns: list[dict[str, Any]],
    name_rules: list[dict[str, str]],
    scale: dict[str, str] | None = None,
) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if scale:
        subresources["scale"] = scale
    schema = {
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": name_rules,
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": kind},
            "metadata": {"type": "object"},  # Kubernetes' own: nothing may be said of it
            "spec": spec,
            "status": status,
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["flows"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }


def flowrun_crd() -> dict[str, Any]:
    """Return the CRD of FlowRun."""
    spec = structural(flowrun.FlowRunSpec)
    spec["x-kubernetes-validations"] = flowrun.SPEC_RULES
    spec["properties"]["flow"]["properties"]["source"]["x-kubernetes-validations"] = SOURCE_RULES
    spec["properties"]["deletionPolicy"]["x-kubernetes-validations"] = flowrun.DELETION_RULES
    cluster = spec["properties"]["clusters"]["items"]
    cluster["x-kubernetes-validations"] = clusters.CLUSTER_RULES
    cluster["properties"]["workers"]["x-kubernetes-validations"] = clusters.WORKERS_RULES
    return _crd(
        kind="FlowRun",
        plural=RUNS,
        short="frun",
        spec=spec,
        status=structural(flowrun.FlowRunStatus),
        name_rules=flowrun.NAME_RULES,
        columns=[
            _column("State", ".status.state"),
            _column("Reason", ".status.conditions[?(@.type=='Succeeded')].reason"),
            _column("Workers", ".status.workers"),
            _column("Flow", ".spec.flow.entrypoint", priority=1),
            _column("Prefect", ".status.flowRun.url", priority=1),
            _column("Age", ".metadata.creationTimestamp", "date"),
        ],
    )


def taskcluster_crd() -> dict[str, Any]:
    """Return the CRD of TaskCluster."""
    spec = structural(taskcluster.TaskClusterSpec)
    spec["x-kubernetes-validations"] = taskcluster.SPEC_RULES
    spec["properties"]["workers"]["x-kubernetes-validations"] = taskcluster.WORKERS_RULES
    spec["properties"]["source"]["x-kubernetes-validations"] = SOURCE_RULES
    return _crd(
        kind="TaskCluster",
        plural=CLUSTERS,
        short="tclu",
        spec=spec,
        status=structural(taskcluster.TaskClusterStatus),
        name_rules=taskcluster.NAME_RULES,
        scale={
            "specReplicasPath": ".spec.workers.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
        columns=[
            _column("Engine", ".spec.engine"),
            _column("Workers", ".spec.workers.replicas", "integer"),
            _column("Ready", ".status.readyReplicas", "integer"),
            _column("Run", ".spec.flowRun.name"),
            _column("Address", ".status.address", priority=1),
            _column("Age", ".metadata.creationTimestamp", "date"),
        ],
    )


def main(directory: Path) -> None:
    """Write both CRDs as YAML files into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, crd in ((RUNS, flowrun_crd()), (CLUSTERS, taskcluster_crd())):
        text = "# Generated from the models in operator/src/flowrun_operator/api by `make generate`.\n"
        (directory / f"{name}.yaml").write_text(text + yaml.safe_dump(crd, sort_keys=False, width=120))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
