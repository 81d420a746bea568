"""Secrets that go with an attempt or a cluster. Keys and tokens are in no plan: `loop.act` puts them in.

Nobody needs to read one of them back: a create that meets its own Secret (409) leaves it as it is.
"""

from __future__ import annotations

from typing import Any

# Keys of the Secrets, not values.
KEY_IN_SECRET = "api-key"  # noqa: S105 - the operator's key for the Prefect API
TOKEN_IN_SECRET = "token"  # noqa: S105 - a random word that all nodes of a Ray cluster share
PARAMETERS_IN_SECRET = "parameters.json"  # noqa: S105 - what the flow is called with


def secret(
    name: str,
    namespace: str,
    key: str,
    labels: dict[str, str],
    owners: list[dict[str, Any]],
    value: str = "",
) -> dict[str, Any]:
    """Return a Secret with one value, which nobody can change.

    Args:
        name: Of the Secret.
        namespace: Where.
        key: Which value it carries: `KEY_IN_SECRET`, `TOKEN_IN_SECRET` or `PARAMETERS_IN_SECRET`.
        labels: Of the Secret.
        owners: Its owner references.
        value: Empty for a key or a token: it is put in when the Secret is sent.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": owners},
        "type": "Opaque",
        "immutable": True,
        "stringData": {key: value},
    }
