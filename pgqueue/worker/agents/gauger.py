"""The Gauger: has the store keep how much waits and runs in each queue, once a minute."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pgqueue.backends.plans import carry_out_async
from pgqueue.operations.gauging import gauging
from pgqueue.operations.tallying import MINUTE
from pgqueue.worker.connection import ReconnectingConnection
from pgqueue.worker.service import Service


class Gauger(Service):
    """Looks in the middle of each minute, and notes what it sees under that minute.

    A duty of the leader: one process counts for all. Two leaders, for a moment, note the same row.
    """

    def __init__(self, line: ReconnectingConnection) -> None:
        self._line = line

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_until_the_middle(datetime.now(UTC)))
            await carry_out_async(gauging(datetime.now(UTC)), self._line.execute)


def _until_the_middle(now: datetime) -> float:
    """For how many seconds there is no minute's middle after *now*."""
    minute = MINUTE.total_seconds()
    return (minute / 2 - (now.second + now.microsecond / 1e6)) % minute or minute
