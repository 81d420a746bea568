"""`make demo`: run the examples on the cluster and watch them, the way a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

ROOT = Path(__file__).parents[1]
RELEASE_NAMESPACE = os.environ.get("NAMESPACE", "flowrun-system")
KUBECONFIG = os.environ.get("KUBECONFIG") or str(ROOT / ".local" / "kubeconfig")
KUBECTL = ["kubectl", "--kubeconfig", KUBECONFIG]
# Not held back: the command that follows a run writes to the same place.
sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


def kubectl(*args: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl against the demo's cluster and return what it printed."""
    done = subprocess.run([*KUBECTL, *args], input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        sys.exit(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def prefect_service() -> str:
    """Return the name of the bundled Prefect server's Service."""
    selector = "app.kubernetes.io/component=prefect-server"
    return kubectl(
        "-n", RELEASE_NAMESPACE, "get", "services", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}"
    )


@contextmanager
def prefect_api() -> Iterator[str | None]:
    """Forward a local port to the bundled Prefect server and give its API's URL; None if there is none."""
    service = prefect_service()
    if not service:
        yield None
        return
    command = [*KUBECTL, "-n", RELEASE_NAMESPACE, "port-forward", f"svc/{service}", ":4200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as forward:
        line = forward.stdout.readline() if forward.stdout else ""
        port = re.search(r":(\d+) ->", line)
        try:
            yield f"http://127.0.0.1:{port.group(1)}/api" if port else None
        finally:
            forward.terminate()


def ask(api: str, path: str, body: dict[str, Any]) -> Any:
    """POST to Prefect's API; None when it does not answer."""
    request = urllib.request.Request(api + path, json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.loads(response.read())
    except OSError:
        return None


def printed_lines(api: str | None, flow_run_id: str | None) -> list[str]:
    """Return what flow and tasks printed, from Prefect's logs: those of the workers are among them."""
    if api is None or flow_run_id is None:
        return []
    body = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
    lines = [str(entry["message"]) for entry in ask(api, "/logs/filter", body) or []]
    own = ("Beginning flow run", "View at", "Finished in state", "Waiting for", "Created task run")
    return [line for line in lines if not line.startswith(own)]


def example(path: Path, api: str | None) -> bool:
    """Run one example, show what its tasks printed and what is left; return whether it succeeded."""
    manifests = [m for m in yaml.safe_load_all(path.read_text()) if m]
    (name,) = [m["metadata"]["name"] for m in manifests if m["kind"] == "FlowRun"]
    for manifest in manifests:  # images are where `make images` brought them
        image = manifest.get("spec", {}).get("image", "")
        if image.startswith("localhost/") and os.environ.get("IMAGE_REGISTRY"):
            tag = os.environ.get("IMAGE_TAG", "dev")
            manifest["spec"]["image"] = f"{os.environ['IMAGE_REGISTRY']}/flowrun-examples:{tag}"
    console.rule(f"flowrun run {path.relative_to(ROOT)}")
    command = ["flowrun", "run", "-", "--replace", "--kubeconfig", KUBECONFIG]
    done = subprocess.run(command, input=yaml.safe_dump_all(manifests), text=True, check=False)
    run = json.loads(kubectl("get", "flowruns.flowrun.dev", name, "-o", "json"))
    lines = printed_lines(api, run.get("status", {}).get("flowRun", {}).get("id"))
    console.print("\nprinted by flow and tasks, as Prefect has it:\n" + "\n".join(lines), style="dim", markup=False)
    show_what_is_left(name)
    return done.returncode == 0


def show_what_is_left(name: str) -> None:
    """Wait until the cluster of a run is gone and show what `kubectl` still finds of it."""
    kinds, own = "pods,services,taskclusters.flowrun.dev", f"flowrun.dev/run={name}"
    deadline = time.monotonic() + 15
    while kubectl("get", kinds, "-l", f"{own},flowrun.dev/role!=driver", "-o", "name"):
        if time.monotonic() > deadline:
            sys.exit(f"something of the run is left: kubectl get {kinds} -l {own}")
        time.sleep(0.3)
    console.print(f"$ kubectl get {kinds} -l {own}", soft_wrap=True)
    console.print(kubectl("get", kinds, "-l", own).rstrip(), markup=False)
    console.print("(the driver's pod is kept for its log, until the run's TTL)", style="dim")


def main() -> None:
    """Run both examples."""
    with prefect_api() as api:
        good = [example(ROOT / "examples" / name, api) for name in ("greetings.yaml", "model_selection.yaml")]
    console.rule("what next")
    kubeconfig = os.environ.get("KUBECONFIG") or ".local/kubeconfig"
    console.print(f"export KUBECONFIG={kubeconfig}", markup=False, soft_wrap=True)
    console.print("kubectl get flowruns.flowrun.dev -o wide")
    if service := prefect_service():
        command = f"kubectl -n {RELEASE_NAMESPACE} port-forward svc/{service} 4200"
        console.print(f"{command}   # Prefect UI: http://localhost:4200", soft_wrap=True)
    console.print("make cluster-down   # removes the cluster")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
