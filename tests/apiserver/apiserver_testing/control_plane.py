"""etcd, kube-apiserver and kube-controller-manager on loopback, in a temporary folder, on free ports.

All three are one program, `kubebox` (dev/box). They end with the test process, however that ends: each asks the kernel
for a SIGKILL at its parent's death. What a killed run left is a folder, removed by the next run.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

_PREFIX = "flowrun-apiserver-"
_PR_SET_PDEATHSIG = 1
_CONTROLLERS = (
    "garbage-collector-controller,job-controller,namespace-controller,resourcequota-controller,"
    "ttl-after-finished-controller"
)
ADMIN, OPERATOR = "admin-token", "operator-token"
_libc = ctypes.CDLL(None, use_errno=True)


def kubebox() -> Path | None:
    """Return the program, if it was built: $KUBEBOX, or the newest one in the cache."""
    if os.environ.get("KUBEBOX"):
        return Path(os.environ["KUBEBOX"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("FLOWRUN_CACHE") or Path(base, "flowrun"))
    found = sorted(cache.glob("bin/kubebox-*"), key=lambda path: path.stat().st_mtime)
    return next((path for path in reversed(found) if os.access(path, os.X_OK) and path.suffix != ".part"), None)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def die_with_parent() -> None:
    """For `preexec_fn`: this process gets a SIGKILL when its parent has died."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ControlPlane:
    """The three processes. Use `start` and `stop`."""

    def __init__(self, program: Path) -> None:
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._program = program
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        etcd, peer = free_port(), free_port()
        self._write_credentials()
        self._run(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder}/certs",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder}/sa.key",
            f"--service-account-signing-key-file={self.folder}/sa.key",
            "--service-cluster-ip-range=10.97.0.0/16",
            # No controller makes the accounts that it asks for, and no pod of these tests runs.
            "--disable-admission-plugins=ServiceAccount",
        )
        self._wait_ready()

    def start_controllers(self) -> None:
        """Start the controller manager; once the CRDs are there, or its garbage collector learns of them 30 s later."""
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.folder}/admin.kubeconfig",
            f"--controllers={_CONTROLLERS}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kubeconfig(self, name: str, url: str, token: str) -> Path:
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            f"clusters: [{{name: c, cluster: {{server: '{url}', insecure-skip-tls-verify: true}}}}]\n"
            f"users: [{{name: u, user: {{token: {token}}}}}]\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
        )
        return path

    def certificate(self, name: str) -> tuple[Path, Path]:
        """Return a new self-signed certificate for 127.0.0.1 and its key."""
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        new = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]
        names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run([*new, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
        return cert, key

    def _write_credentials(self) -> None:
        key = self.folder / "sa.key"
        subprocess.run(
            ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key],
            check=True,
            capture_output=True,
        )
        tokens = f'{ADMIN},admin,1,"system:masters"\n{OPERATOR},operator,2\n'
        (self.folder / "tokens.csv").write_text(tokens)
        self.kubeconfig("admin", self.url, ADMIN)

    def _run(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)}
        self._processes.append(
            subprocess.Popen(
                [self._program, name, *arguments],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.folder,
                preexec_fn=die_with_parent,  # noqa: PLW1509  it makes one system call
            )
        )
        log.close()

    def _wait_ready(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {ADMIN}"})
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        end = time.monotonic() + 90
        while time.monotonic() < end:
            with contextlib.suppress(OSError), opener.open(request, timeout=5):
                return
            if any(process.poll() is not None for process in self._processes):
                break
            time.sleep(0.1)
        log = (self.folder / "kube-apiserver.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the API server did not become ready:\n{log}")


def _sweep() -> None:
    """Remove the folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)
