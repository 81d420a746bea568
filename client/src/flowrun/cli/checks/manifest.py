"""A run before it is started: its code, its sizes, and what the API server says of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrun.cli.checks.finding import Finding, bad, note, ok
from flowrun.cli.files import flow_file, parameters
from flowrun.cli.files.flow_file import FlowFile
from flowrun.cli.files.manifests import Manifests
from flowrun.problem import Exists, Problem
from flowrun_api import archive
from flowrun_api.config_map import ConfigMapError, write_files

if TYPE_CHECKING:
    from flowrun.kube.runs import Runs

Raw = dict[str, Any]

# What etcd holds of one object, a little less.
_OBJECT_BYTES = 1_000_000


def code(found: Manifests, flow: FlowFile | None) -> Iterator[Finding]:
    """Look whether the flow is where the run looks for it, and takes its parameters.

    Args:
        found: what is to be run.
        flow: its file, where there is no manifest.
    """
    spec = found.flow_run.get("spec")
    described: Raw = spec.get("flow") or {} if isinstance(spec, dict) else {}
    entrypoint, given = str(described.get("entrypoint", "")), described.get("parameters") or {}
    try:
        parameters.check(found.flow_run)
        if flow is not None:
            flow_file.check_parameters(flow, given)
            yield ok(f"{entrypoint}: the function takes its parameters")
            return
        yield from _in_source(found, described.get("source"), entrypoint, given)
    except Problem as problem:
        yield bad(str(problem))


def _in_source(found: Manifests, source: Any, entrypoint: str, given: Raw) -> Iterator[Finding]:
    file, _, function = entrypoint.rpartition(":")
    if not file.endswith(".py") or not function:
        yield note(f"{entrypoint}: a module, or no flow of a file", "only a run imports it")
        return
    name = source.get("configMap") if isinstance(source, dict) else None
    here = [each for each in found.others if each["kind"] == "ConfigMap" and each["metadata"].get("name") == name]
    if not here:
        where = f"the ConfigMap {name}, not in this file" if name else "the image or a volume"
        yield note(f"{entrypoint}: the code is in {where}", "not looked at")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _lay_out(here[0], folder)
        if not (folder / file).is_file():
            there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            yield bad(f"spec.flow.entrypoint: there is no {file} in the ConfigMap {name}", f"there is: {there}")
            return
        flow_file.check_parameters(FlowFile(folder / file, function), given)
    yield ok(f"{entrypoint}: the function is in the ConfigMap {name} and takes its parameters")


def _lay_out(config_map: Raw, folder: Path) -> None:
    try:
        write_files(config_map, folder)
        for packed in (folder / name for name in archive.NAMES):
            if packed.exists():
                archive.unpack(packed, folder)
                packed.unlink()
    except (ConfigMapError, archive.ArchiveError, OSError) as error:
        raise Problem(f"ConfigMap {config_map['metadata']['name']}: {error}") from error


def sizes(found: Manifests) -> Iterator[Finding]:
    """Look whether the API server can hold each of the objects."""
    for item in [*found.others, found.flow_run]:
        size = len(json.dumps(item, default=str))
        if size > _OBJECT_BYTES:
            name = f"{item['kind']} {item['metadata'].get('name', '')}"
            yield bad(f"{name} has {size // 2**10} KiB, more than a cluster holds", "put the code into an image")


def by_the_server(found: Manifests, runs: Runs) -> Iterator[Finding]:
    """Have the API server check everything, and create nothing.

    Args:
        found: what is to be run.
        runs: of the cluster.
    """
    for item in found.others:
        what = f"{item['kind']} {item['metadata'].get('name', '')}"
        try:
            runs.apply(item, dry_run=True)
            yield ok(f"{what}: the cluster takes it")
        except Problem as problem:
            yield bad(str(problem))
    name = str(found.flow_run["metadata"].get("name") or found.flow_run["metadata"].get("generateName", ""))
    try:
        runs.create(found.flow_run, dry_run=True)
        yield ok(f"FlowRun {name}: the cluster takes it")
    except Exists:
        yield note(f"FlowRun {name}: the cluster takes it, but has one of that name", "--name, or --replace")
    except Problem as problem:
        yield bad(str(problem))
