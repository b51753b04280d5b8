"""How long to wait before a broker that is away is tried once more."""

from __future__ import annotations

from random import uniform
from typing import Final

FIRST_GAP_SECONDS: Final = 0.1
LONGEST_GAP_SECONDS: Final = 30.0
GAP_SHARE: Final = 0.02
"""A gap between two tries is this part of the time that the broker has been away."""


def gap(away: float) -> float:
    """Return how many seconds to wait, jittered, when a broker has been *away* for so many."""
    seconds = min(LONGEST_GAP_SECONDS, max(FIRST_GAP_SECONDS, away * GAP_SHARE))
    return seconds * uniform(0.5, 1.0)
