"""What people and editors read of the kinds, made from their schemas: tables of fields, and JSON schemas.

`python -m flowrun_api.kinds.reference DOCUMENT SCHEMAS` renews the tables between the marks of a Markdown document and
writes a JSON schema for each kind into a folder (`make generate`).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowrun_api.constants import API_VERSION, VERSION
from flowrun_api.kinds.common import PodOptions
from flowrun_api.kinds.crd import flowrun_crd, structural, taskcluster_crd

Schema = dict[str, Any]

_MARK = re.compile(r"(<!-- fields: (?P<what>[\w.]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)
_POD = "PodOptions"
_SOURCE = "https://json-schema.org/draft-07/schema#"


def schemas() -> dict[str, Schema]:
    """Return the OpenAPI schemas of both kinds, by kind."""
    crds = {"FlowRun": flowrun_crd(), "TaskCluster": taskcluster_crd()}
    return {kind: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind, crd in crds.items()}


def table(what: str) -> str:
    """Return the fields of a part of a kind as a Markdown table.

    Args:
        what: such as `FlowRun.spec`, or `PodOptions`.

    Raises:
        KeyError: there is no such part.
    """
    if what == _POD:
        rows = list(_rows(structural(PodOptions), ""))
    else:
        kind, _, part = what.partition(".")
        rows = list(_rows(schemas()[kind]["properties"][part], ""))
    prefix = f"{what.partition('.')[2]}." if "." in what else "field"
    head = [f"| `{prefix}` | type | default | meaning |" if "." in what else "| field | type | default | meaning |"]
    return "\n".join([*head, "|---|---|---|---|", *rows])


def _rows(schema: Schema, prefix: str) -> Iterator[str]:
    of_pods = set(structural(PodOptions)["properties"])
    is_pod = bool(prefix) and of_pods <= set(schema.get("properties") or {})
    required = set(schema.get("required") or [])
    for name, field in (schema.get("properties") or {}).items():
        if is_pod and name in of_pods:
            continue
        path = f"{prefix}{name}"
        inner = field.get("items") if field.get("type") == "array" else field
        type_ = _type(field) + (", required" if name in required else "")
        more = "; [pod options](#pod-options)" if of_pods <= set((inner or {}).get("properties") or {}) else ""
        yield f"| `{path}` | {type_} | {_default(field)} | {_text(field)}{more} |"
        if inner and "properties" in inner and name != "conditions":
            yield from _rows(inner, f"{path}[]." if inner is not field else f"{path}.")


def _type(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "number or string"
    kind = {"array": "list", "object": "object"}.get(field.get("type", "object"), field.get("type", "object"))
    if field.get("type") == "object" and "additionalProperties" in field:
        kind = "map"
    least, most = field.get("minimum"), field.get("maximum")
    if least is not None and most is not None and most < 2**31 - 1:
        return f"{kind}, {least} to {most}"
    if least is not None:
        return f"{kind} ≥ {least}"
    longest = field.get("maxItems") or field.get("maxLength")
    return f"{kind}, at most {longest}" if longest else str(kind)


def _default(field: Schema) -> str:
    if "default" not in field or isinstance(field["default"], dict):
        return ""
    return f"`{json.dumps(field['default']).strip(chr(34))}`"


def _text(field: Schema) -> str:
    text = " ".join(str(field.get("description", "")).split())
    return text.removesuffix(".").replace("|", "\\|").replace("<", "&lt;")


def editor_schema(kind: str) -> Schema:
    """Return a JSON schema by which an editor completes and checks manifests of a kind.

    Args:
        kind: FlowRun or TaskCluster.
    """
    schema = _without_extensions(schemas()[kind])
    schema["properties"]["apiVersion"] = {"const": API_VERSION}
    schema["properties"]["kind"] = {"const": kind}
    schema["properties"].pop("status", None)
    return {"$schema": _SOURCE, "title": kind, **schema, "required": ["apiVersion", "kind", "metadata", "spec"]}


def _without_extensions(node: Any, *, names: bool = False) -> Any:
    """Return a schema without Kubernetes' own words; objects take no field that the API does not know.

    Args:
        node: the schema, or a part of it.
        names: the keys of this part are names of fields.
    """
    if isinstance(node, list):
        return [_without_extensions(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _without_extensions(value) for key, value in node.items()}
    found = {
        key: _without_extensions(value, names=key == "properties")
        for key, value in node.items()
        if not key.startswith("x-kubernetes-") and key != "format"
    }
    if node.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    if (
        "properties" in node
        and not node.get("x-kubernetes-preserve-unknown-fields")
        and "spec" not in node["properties"]
    ):
        found["additionalProperties"] = False
    return found


def renewed(document: str) -> str:
    """Return a document whose tables are those of the kinds.

    Args:
        document: Markdown, with marks `<!-- fields: FlowRun.spec -->` and `<!-- end -->` around each table.
    """
    return _MARK.sub(lambda found: f"{found[1]}{table(found['what'])}{found[3]}", document)


def main(document: Path, folder: Path) -> None:
    """Renew a document's tables, and write the JSON schemas into a folder."""
    document.write_text(renewed(document.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    for kind in schemas():
        text = json.dumps(editor_schema(kind), indent=1) + "\n"
        (folder / f"{kind.lower()}-{VERSION}.json").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
