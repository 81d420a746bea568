"""Writes an exported image to stdout as an OCI archive, without the blobs that the receiver has already.

usage: oci_archive.py FOLDER NAME < digests that the receiver has, one per line

FOLDER is what `buildah push IMAGE dir:FOLDER` wrote; the image gets NAME in the archive. Layers are shared by images
and by their successive builds: after a change of source a few kilobytes are sent instead of a gigabyte.
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a small file to the archive."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def write_archive(folder: Path, name: str, present: set[str], archive: tarfile.TarFile) -> None:
    """Adds the image's files to the archive; layers in `present` ("sha256:HEX") are left out."""
    raw = (folder / "manifest.json").read_bytes()
    manifest = json.loads(raw)
    digest = hashlib.sha256(raw).hexdigest()
    add_bytes(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
    add_bytes(archive, f"blobs/sha256/{digest}", raw)
    for blob in [manifest["config"], *(layer for layer in manifest["layers"] if layer["digest"] not in present)]:
        archive.add(folder / blob["digest"].removeprefix("sha256:"), f"blobs/{blob['digest'].replace(':', '/')}")
    entry = {
        "mediaType": manifest["mediaType"],
        "digest": f"sha256:{digest}",
        "size": len(raw),
        "annotations": {"io.containerd.image.name": name},
    }
    add_bytes(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())


if __name__ == "__main__":
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as stream:
        write_archive(Path(sys.argv[1]), sys.argv[2], set(sys.stdin.read().split()), stream)
