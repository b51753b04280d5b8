"""How fast the workers of a campaign notice that one of them is gone: fast, so that a freeze
that is longer than `frozen_after` fits into it; or with the settings as shipped."""

from __future__ import annotations

from pgqueue.worker.options import Options

_PACE = {"heartbeat-interval": 1.0, "frozen-after": 5.0, "term": 5.0}


def options() -> dict[str, str]:
    """For a worker's command line."""
    return {name: f"{seconds:g}" for name, seconds in _PACE.items()}


def frozen_after() -> float:
    return _PACE["frozen-after"]


def outage() -> tuple[float, float]:
    """How long an outage lasts that is longer than `frozen_after`: 90 s as shipped."""
    return 1.5 * frozen_after() + 1.5, 2 * frozen_after()


def ship() -> None:
    """From now on, in this process, as shipped."""
    shipped = Options()
    for name in _PACE:
        _PACE[name] = getattr(shipped, name.replace("-", "_"))
