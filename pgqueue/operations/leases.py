"""How leases are drawn: each is a number that only one claim gets.

A worker draws a block at random and gives out its numbers one after the other, without asking the
store.
"""

from __future__ import annotations

import secrets
from typing import Final

BLOCK: Final = 10_000_000
"""How many leases a worker gives out before it draws again."""
BEYOND: Final = 2**53
"""No lease is as large: Redis compares them as doubles, which are exact up to here."""


def draw_block() -> int:
    """Return the first of a block that nobody else has, whatever a store remembers.

    A counter in the store would go back with it (a restored backup, a lost failover, an emptied
    server) and give out leases that still hold. At random, the chance that a job's stale owner has
    the number of its present one is below one in 10^9 even after a million claims each, and there
    is no round trip. A wider lease with a random part would cost each comparison of the hot path.
    """
    return secrets.randbelow(BEYOND - BLOCK)
