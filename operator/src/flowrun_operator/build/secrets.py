"""Secrets that go with an attempt or a cluster. No plan ever holds what is in them: `loop.act` puts it in.

Nobody needs to read one of them back: a create that meets its own Secret (409) leaves it as it is.
"""

from __future__ import annotations

from typing import Any

# Keys of the Secrets, not values.
KEY_IN_SECRET = "api-key"  # noqa: S105 - the operator's key for the Prefect API
TOKEN_IN_SECRET = "token"  # noqa: S105 - a random word that all nodes of a Ray cluster share


def secret(name: str, namespace: str, key: str, labels: dict[str, str], owners: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a Secret whose one value is still missing.

    Args:
        name: Of the Secret.
        namespace: Where.
        key: Which value it carries: `KEY_IN_SECRET` or `TOKEN_IN_SECRET`.
        labels: Of the Secret.
        owners: Its owner references.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": owners},
        "type": "Opaque",
        "stringData": {key: ""},
    }
