"""Break a connection when an answer does not come in time.

A firewall or a proxy may have forgotten the connection without telling either side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from psycopg import AsyncConnection

from pgqueue.backends.postgres.stall_watch import hang_up

# No statement of a worker waits longer than a second for a lock. Signs of life have the shortest
# time; statements that clean up may have much to do.
PATIENCE_SECONDS = 10.0
PATIENCE: Mapping[str, float] = {
    **dict.fromkeys(("alive", "heartbeat", "session/listening", "elect", "watch"), 5.0),
    **dict.fromkeys(("prune", "trim", "sweep"), 60.0),
}
MOST = 32


@dataclass
class LastHangUp:
    """When a connection of this process last hung up, by `monotonic`.

    Connections that have had no answer since may be broken, too.
    """

    noticed_at: float = -inf


class AnswerDeadline:
    """How long one connection waits for an answer.

    The time doubles after each answer that was too late, so a server that is only slow answers in
    the end. Keepalives and `tcp_user_timeout` would not do: they only test the way to the next
    machine, which may be a proxy. Nor would a timeout that cancels the statement: it asks the
    silent server to cancel, and waits for its answer.
    """

    def __init__(self, silence: LastHangUp) -> None:
        self._silence = silence
        self._factor = 1
        self._heard_at = -inf

    def heard(self) -> None:
        """Note that the server has answered."""
        self._heard_at = monotonic()

    @property
    def doubts(self) -> bool:
        """Has another connection found the server silent since this one last heard from it?"""
        return self._heard_at < self._silence.noticed_at

    @contextmanager
    def answers(self, connection: AsyncConnection[Any], operation: str) -> Iterator[None]:
        """Break *connection* unless the block, which waits for the answer to *operation*, ends in
        time."""
        seconds = PATIENCE.get(operation, PATIENCE_SECONDS) * self._factor
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, self._hang_up, connection)
        try:
            yield
            self._factor = 1
            self.heard()
        finally:
            timer.cancel()

    def _hang_up(self, connection: AsyncConnection[Any]) -> None:
        self._factor = min(2 * self._factor, MOST)
        self._silence.noticed_at = monotonic()
        hang_up(connection)
