"""What would go wrong, told before it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from flowrun.cli.app import EXIT_PROBLEM, Context, Kubeconfig, Namespace, command, connect, say
from flowrun.cli.checks import manifest
from flowrun.cli.checks.finding import Finding, bad, note, problem_as_note, told
from flowrun.cli.commands.start import Parameters, add_code, read_run
from flowrun.cli.files import manifests
from flowrun.cli.files.flow_file import Options
from flowrun.problem import Problem
from flowrun.version import __version__


@command
def lint(
    file: Annotated[str, typer.Argument(help="Manifest with one FlowRun (- is standard input), or file.py:flow.")],
    param: Parameters = None,
    offline: Annotated[bool, typer.Option("--offline", help="Without asking a cluster.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Check a run without starting it: its code, its parameters, its sizes, and by a dry run its schema."""
    found, flow = read_run(file, Options(), None, param or [], checks=False)

    def findings() -> Iterator[Finding]:
        yield from manifest.code(found, flow)
        if flow is not None:
            try:
                add_code(found, flow)
            except Problem as problem:
                yield bad(str(problem))
        yield from manifest.sizes(found)
        if offline:
            return
        try:
            connection = connect(kubeconfig, context, manifests.namespace(found.flow_run, namespace))
        except Problem as problem:
            yield note("not checked by a cluster", str(problem))
            return
        from flowrun.kube.runs import Runs  # noqa: PLC0415 - costs Kubernetes' client

        yield from manifest.by_the_server(found, Runs(connection))

    return 0 if told(findings(), say) else EXIT_PROBLEM


@command
def doctor(
    pod: Annotated[bool, typer.Option("--pod", help="Also start a pod that asks Prefect for an answer.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Look at cluster, operator, rights, quotas and Prefect, and say what to do about each that is not well."""
    connection = connect(kubeconfig, context, namespace)
    from flowrun.cli.checks import installation  # noqa: PLC0415 - costs Kubernetes' client
    from flowrun.cli.checks.probe_pod import prefect_from_a_pod  # noqa: PLC0415
    from flowrun.kube.installation import Operator, operators  # noqa: PLC0415

    there: list[Operator] = []

    def look_for_operators() -> Iterator[Finding]:
        there.extend(operators(connection))
        return installation.operator(there, __version__)

    def findings() -> Iterator[Finding]:
        yield from installation.api(connection)
        yield from problem_as_note(look_for_operators, "the operator")
        yield from problem_as_note(lambda: installation.rights(connection), "your rights")
        yield from problem_as_note(lambda: installation.quotas(connection), "quotas")
        yield from installation.taken(connection)
        operator = next((each for each in there if each.prefect_api_url), None)
        if operator is None:
            return
        if not pod:
            yield note(f"Prefect at {operator.prefect_api_url}: not asked", "flowrun doctor --pod asks it from a pod")
            return
        image, url = operator.runtime_image, operator.prefect_api_url
        yield from problem_as_note(lambda: prefect_from_a_pod(connection, image, url), "Prefect")

    return 0 if told(findings(), say) else EXIT_PROBLEM
