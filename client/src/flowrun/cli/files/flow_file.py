"""`flow.py:function` in place of a manifest: the FlowRun that a file without one gets."""

from __future__ import annotations

import ast
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowrun.cli.files.cluster_file import Workers, engine_of
from flowrun.cli.files.manifests import Manifests
from flowrun.problem import Problem
from flowrun_api.constants import API_VERSION

Raw = dict[str, Any]

_ENTRYPOINT = re.compile(r"(?P<file>.+\.py):(?P<function>[A-Za-z_]\w*)$")
_NO_ENGINE = "none"
_WORKERS = 2
# Names of children are made from it.
_NAME_LENGTH = 30


@dataclass(frozen=True)
class Options:
    """What the command line says of the run; None: nothing."""

    engine: str | None = None
    workers: int | None = None
    threads: int | None = None
    image: str | None = None
    cpu: str | None = None
    memory: str | None = None
    env: tuple[str, ...] = ()
    on_demand: bool = False

    @property
    def given(self) -> list[str]:
        """Names of the options that were given."""
        return [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value]


@dataclass(frozen=True)
class FlowFile:
    """A flow in a file."""

    file: Path
    function: str

    @property
    def folder(self) -> Path:
        """The folder of the file: in it the flow works, and it goes to the cluster whole."""
        return self.file.parent


def parse(text: str) -> FlowFile | None:
    """Return the flow that `dir/file.py:function` names; None for the name of a manifest's file.

    Args:
        text: the argument of the command.

    Raises:
        Problem: there is no such file.
    """
    found = _ENTRYPOINT.match(text)
    if found is None:
        return None
    file = Path(found["file"]).absolute()
    if not file.is_file():
        raise Problem(f"{found['file']}: no such file")
    return FlowFile(file, found["function"])


def manifest(flow: FlowFile, options: Options) -> Manifests:
    """Return what a manifest would say of it.

    Args:
        flow: the flow.
        options: of the command line.

    Raises:
        Problem: an option that can't be.
    """
    base = re.sub(r"[^a-z0-9]+", "-", flow.function.lower()).strip("-")
    base = (base if base[:1].isalpha() else f"flow-{base}".rstrip("-"))[:_NAME_LENGTH].rstrip("-")
    spec: Raw = {"flow": {"entrypoint": f"{flow.file.name}:{flow.function}"}}
    spec |= {"image": options.image} if options.image else {}
    spec |= {"env": [_variable(entry) for entry in options.env]} if options.env else {}
    spec["clusters"] = _clusters(options)
    return Manifests(
        {
            "apiVersion": API_VERSION,
            "kind": "FlowRun",
            # A name of its own, and not the API server's choice: the code's ConfigMap is called after it.
            "metadata": {"name": f"{base}-{secrets.token_hex(3)}"},
            "spec": spec,
        }
    )


def _clusters(options: Options) -> list[Raw]:
    engine = engine_of(options.engine or "dask", _NO_ENGINE)
    if engine is None:
        return []
    workers = Workers(options.workers or _WORKERS, options.threads, options.cpu, options.memory)
    cluster = {"name": "default", "engine": engine, "workers": workers.spec()}
    return [{**cluster, "activation": "OnDemand"} if options.on_demand else cluster]


def _variable(entry: str) -> Raw:
    name, equals, value = entry.partition("=")
    if not equals or not name:
        raise Problem("--env: write it as NAME=VALUE")
    return {"name": name, "value": value}


def check_parameters(flow: FlowFile, given: Mapping[str, Any]) -> None:
    """Compare parameters with the flow's signature, without running its file.

    A function that the file makes in another way than by `def` is left to the driver.

    Args:
        flow: the flow.
        given: parameters by name.

    Raises:
        Problem: the file is no Python, has no such function, or the function takes other parameters.
    """
    try:
        tree = ast.parse(flow.file.read_bytes(), flow.file.name)
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise Problem(f"{flow.file.name}{where}: {getattr(error, 'msg', error)}") from None
    definition = next((node for node in reversed(tree.body) if _defines(node, flow.function)), None)
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        _compare(flow, definition.args, given)
        return
    code = ast.unparse(tree)
    if not re.search(rf"\b{flow.function}\b", code) and "import *" not in code:
        raise Problem(f"{flow.file.name} has no function {flow.function}")


def _defines(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name


def _compare(flow: FlowFile, args: ast.arguments, given: Mapping[str, Any]) -> None:
    positional = [*args.posonlyargs, *args.args]
    names = [arg.arg for arg in [*positional, *args.kwonlyargs]]
    needed = [arg.arg for arg in positional[: len(positional) - len(args.defaults)]]
    needed += [arg.arg for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None]
    signature = f"{flow.function}({ast.unparse(args)})"
    if args.kwarg is None and (unknown := sorted(set(given) - set(names))):
        raise Problem(f"{signature} has no parameter {_listed(unknown)}")
    if missing := [name for name in needed if name not in given]:
        raise Problem(f"{signature} needs {_listed(missing)}: --param {missing[0]}=VALUE")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
