"""The file that a run is started from: one FlowRun, and what it needs, such as the ConfigMap with its code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flowrun.problem import Problem

Raw = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: dates and times are strings, and `1e3` is a number."""


_DATES_AND_NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "int", "float")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DATES_AND_NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = re.compile(r"[-+]?(0b[01]+|0x[0-9a-fA-F]+|0o?[0-7]+|0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


@dataclass
class Manifests:
    """What a file holds."""

    flow_run: Raw
    others: list[Raw] = field(default_factory=list)
    """Everything else, in the file's order: applied first."""


def read(path: str) -> Manifests:
    """Read a file of manifests.

    Args:
        path: of a YAML or JSON file; `-` is standard input.

    Raises:
        Problem: it can't be read, is no YAML, or holds not exactly one FlowRun.
    """
    try:
        text = (sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()).decode()
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Problem(f"{path}: not a text file") from error
    return parse(text, path)


def parse(text: str, path: str) -> Manifests:
    """Find the FlowRun among the manifests of a text.

    Args:
        text: YAML documents or JSON.
        path: where it is from, for messages.

    Raises:
        Problem: it is no YAML, or holds not exactly one FlowRun.
    """
    try:
        documents = [item for item in _documents(text) if item is not None]
    except yaml.MarkedYAMLError as error:
        # Not the whole error: it quotes the file, which may hold secrets.
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise Problem(f"{path}: not valid YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, ValueError):
        raise Problem(f"{path}: not valid YAML") from None
    for number, document in enumerate(documents, 1):
        if not _is_object(document):
            raise Problem(f"{path}: document {number} is no Kubernetes object: apiVersion, kind or metadata is missing")
    runs = [item for item in documents if item["kind"] == "FlowRun" and item["apiVersion"].startswith("flowrun.dev/")]
    if len(runs) != 1:
        raise Problem(f"{path}: holds {len(runs)} FlowRuns; `flowrun run` starts exactly one (kubectl apply takes any)")
    return Manifests(runs[0], [item for item in documents if item is not runs[0]])


def _documents(text: str) -> Iterable[Any]:
    if text.lstrip().startswith("{"):
        # YAML is said to hold all of JSON, but its reader takes an emoji for two halves of one, and refuses DEL.
        with suppress(ValueError):
            return [json.loads(text)]
    return yaml.load_all(text, Loader=_Loader)


def _is_object(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    types = {"apiVersion": str, "kind": str, "metadata": dict}
    return all(document.get(field_) and isinstance(document[field_], type_) for field_, type_ in types.items())


def rename(flow_run: Raw, name: str) -> None:
    """Give a FlowRun another name than its file does.

    Args:
        flow_run: is changed.
        name: the other name.
    """
    flow_run["metadata"] |= {"name": name}
    flow_run["metadata"].pop("generateName", None)


def namespace(flow_run: Raw, asked: str | None) -> str | None:
    """Return the namespace that a FlowRun is for, None if neither its file nor the user names one.

    Args:
        flow_run: as the file has it.
        asked: by the user.

    Raises:
        Problem: the file names one and the user another.
    """
    own: str | None = flow_run["metadata"].get("namespace")
    if own and asked and own != asked:
        raise Problem(f"the file is for namespace {own}, --namespace says {asked}")
    return own or asked
