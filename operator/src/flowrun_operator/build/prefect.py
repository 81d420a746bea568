"""How a pod reaches Prefect: URL in its environment, key from a Secret, never in clear."""

from __future__ import annotations

from typing import Any

from flowrun_operator.api.common import PrefectOptions

KEY_IN_SECRET = "api-key"  # noqa: S105 - the name of a key, not a key


def prefect_env(options: PrefectOptions) -> list[dict[str, Any]]:
    """Return the environment entries for Prefect's client."""
    entries: list[dict[str, Any]] = []
    if options.api_url:
        entries.append({"name": "PREFECT_API_URL", "value": options.api_url})
    if options.api_key_secret:
        reference = {"name": options.api_key_secret.name, "key": options.api_key_secret.key}
        entries.append({"name": "PREFECT_API_KEY", "valueFrom": {"secretKeyRef": reference}})
    return entries
