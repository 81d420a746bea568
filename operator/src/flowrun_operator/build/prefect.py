"""How a pod reaches Prefect: URL in its environment, key from a Secret, never in clear."""

from __future__ import annotations

from typing import Any

from flowrun_api.kinds.common import PrefectOptions
from flowrun_operator.build.pod import env, from_secret


def prefect_env(options: PrefectOptions) -> list[dict[str, Any]]:
    """Return the environment entries for Prefect's client."""
    entries = env(PREFECT_API_URL=options.api_url)
    if options.api_key_secret:
        entries.append(from_secret("PREFECT_API_KEY", options.api_key_secret))
    return entries
