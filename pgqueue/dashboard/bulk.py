"""What is done to all jobs that a filter means: in the background, portion by portion.

It goes on when the viewer has left, until it is done or somebody stops it, in the process that was
asked; each portion is atomic, noted in the audit, and what is done stays done.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Final

from pgqueue.app import App
from pgqueue.backends.plans import patiently_async
from pgqueue.dashboard.access import Access
from pgqueue.dashboard.actions import in_transaction, said
from pgqueue.dashboard.pages import Page
from pgqueue.errors import PgqueueError
from pgqueue.jobs.filters import Filter
from pgqueue.operations import acting
from pgqueue.operations.acting import Act, Portion, Step

KEPT: Final = 50
_log = logging.getLogger(__name__)


class BulkPage(Page):
    """How far one of them is. *number*: so many jobs were meant, not more where *exact*."""

    id: int
    verb: str
    words: str
    by: str
    state: str
    done: str
    looked: int
    number: int
    exact: bool
    began_at: datetime
    problem: str | None


@dataclass(slots=True)
class Bulk:
    """One of them, while it runs and afterwards."""

    id: int
    act: Act
    verb: str
    filter: Filter
    number: acting.Number
    access: Access
    state: str = "running"
    answers: Counter[str] = field(default_factory=Counter)
    looked: int = 0
    problem: str | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    task: asyncio.Task[None] | None = None

    def page(self) -> BulkPage:
        """Return how far it is."""
        return BulkPage(
            self.id,
            self.verb,
            self.filter.words(),
            self.access.user,
            self.state,
            said(self.verb, self.answers.elements()),
            self.looked,
            *self.number,
            self.began_at,
            self.problem,
        )

    def is_seen_by(self, access: Access) -> bool:
        """Does the viewer see the queues that it is about?"""
        queue = self.filter.queue
        return access.sees_all if queue is None else access.sees(queue)


class Bulks:
    """Those of this process, the latest `KEPT`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._ids = count(1)
        self._bulks: dict[int, Bulk] = {}

    def begin(
        self, verb: str, act: Act, filter: Filter, number: acting.Number, access: Access
    ) -> Bulk:
        """Do *act* to all that *filter* means, from now on."""
        bulk = Bulk(next(self._ids), act, verb, filter, number, access)
        for old in list(self._bulks)[: 1 - KEPT]:  # a dict has the oldest first
            if self._bulks[old].state != "running":
                del self._bulks[old]
        self._bulks[bulk.id] = bulk
        bulk.task = asyncio.create_task(self._run(bulk))
        return bulk

    def get(self, id: int) -> Bulk | None:
        """Return the one with this number, None for none that is remembered."""
        return self._bulks.get(id)

    async def _run(self, bulk: Bulk) -> None:
        walk = acting.steps(bulk.act, bulk.filter, who=bulk.access.user)
        try:
            step = next(walk)
            while bulk.state == "running":
                done = await patiently_async(self._once, step)
                bulk.looked += len(done.jobs)
                bulk.answers.update(done.answers.values())
                step = walk.send(done)
        except StopIteration:
            bulk.state = "done"
        except (PgqueueError, ValueError) as error:
            bulk.state, bulk.problem = "failed", str(error)
        finally:
            walk.close()
            _log.info(
                "%s: %s, %s: %s", bulk.access.user, bulk.verb, bulk.filter.words(), bulk.state
            )

    async def _once(self, step: Step) -> Portion:
        return await in_transaction(self._app, step())
