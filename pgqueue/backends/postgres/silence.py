"""Hangs up when an answer does not come: a firewall or a proxy has forgotten the connection, and
told nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from psycopg import AsyncConnection

from pgqueue.backends.postgres.watch import hang_up

# No statement of a worker waits longer than a second for a lock. Those that say and ask what is
# held are the shortest; those that tidy up may have much to do.
PATIENCE_SECONDS = 10.0
PATIENCE: Mapping[str, float] = {
    **dict.fromkeys(("heartbeat", "listening", "elect"), 5.0),
    **dict.fromkeys(("prune", "sweep"), 60.0),
}
MOST = 32


@dataclass
class Silence:
    """When a lane of this process last hung up: what the others have not heard from since is
    doubtful."""

    noticed_at: float = -inf


class Patience:
    """How long one lane waits for an answer; twice as long each time that was not enough, so that
    a server which is only slow is heard in the end.

    Keepalives and `tcp_user_timeout` see only as far as the next machine. A timeout that
    cancels would ask the silent server to cancel, and wait for it to say that it has.
    """

    def __init__(self, silence: Silence) -> None:
        self._silence = silence
        self._factor = 1
        self._heard_at = -inf

    def heard(self) -> None:
        """The server has answered."""
        self._heard_at = monotonic()

    @property
    def doubts(self) -> bool:
        """Has another lane found the server silent since this one last heard from it?"""
        return self._heard_at < self._silence.noticed_at

    @contextmanager
    def answers(self, connection: AsyncConnection[Any], operation: str) -> Iterator[None]:
        """Within, the answer to *operation* comes in time, or the connection breaks."""
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
