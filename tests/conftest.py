"""Settings that every test shares."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Examples are drawn from a fixed seed so that a failure repeats; CI machines are slow, so no single example is timed.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")
