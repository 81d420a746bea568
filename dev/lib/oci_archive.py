"""Writes one image of an OCI layout to stdout as a tar archive, without the blobs that the receiver has already.

usage: oci_archive.py LAYOUT REF NAME < digests-of-the-receiver, one per line

The image gets NAME in the archive. Blobs of the layout that no image of it needs any more are deleted. Layers are
shared by images and by their successive builds: a change of source sends a few kilobytes instead of a gigabyte.
"""

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

REF = "org.opencontainers.image.ref.name"


def load(layout: Path, digest: str) -> dict[str, Any]:
    """The JSON document with this digest."""
    document: dict[str, Any] = json.loads(blob(layout, digest).read_text())
    return document


def blob(layout: Path, digest: str) -> Path:
    """Path of a blob; digest is "sha256:HEX"."""
    return layout / "blobs" / digest.replace(":", "/")


def needed(layout: Path, manifest_digest: str) -> list[str]:
    """Digests of the manifest, its configuration and its layers."""
    manifest = load(layout, manifest_digest)
    return [manifest_digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]


def delete_unused(layout: Path, index: dict[str, Any]) -> None:
    """Deletes the blobs that no image of the layout refers to."""
    keep = {digest for entry in index["manifests"] for digest in needed(layout, entry["digest"])}
    for path in (layout / "blobs" / "sha256").iterdir():
        if f"sha256:{path.name}" not in keep:
            path.unlink()


def add_json(archive: tarfile.TarFile, name: str, document: object) -> None:
    """Adds a small JSON file to the archive."""
    data = json.dumps(document).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def main() -> None:
    """See the module's docstring."""
    layout, ref, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    present = set(sys.stdin.read().split())
    index = json.loads((layout / "index.json").read_text())
    delete_unused(layout, index)
    entry = next(e for e in index["manifests"] if e.get("annotations", {}).get(REF) == ref)
    entry["annotations"] = {"io.containerd.image.name": name}
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        add_json(archive, "oci-layout", {"imageLayoutVersion": "1.0.0"})
        for digest in needed(layout, entry["digest"]):
            # Manifest and configuration always go along: the importer reads them before it looks at its store.
            if digest not in present or blob(layout, digest).stat().st_size < 1 << 16:
                archive.add(blob(layout, digest), f"blobs/{digest.replace(':', '/')}")
        add_json(archive, "index.json", {"schemaVersion": 2, "manifests": [entry]})


main()
