"""Property tests judge what is found, not how long a busy machine takes over it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("flowrun", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flowrun")
