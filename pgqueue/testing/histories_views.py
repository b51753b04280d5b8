"""What people look at in random histories: how jobs ended, why they wait, graphs, lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pgqueue.jobs.filters import Filter
from pgqueue.jobs.job import FINISHED, State
from pgqueue.testing.answers import pick, some
from pgqueue.testing.histories_schedules import Scheduling
from pgqueue.testing.model_views import ViewedModel

QUEUES: Final = ("default", "mail")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WAITING: Final = frozenset(State) - FINISHED
FILTERS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"state": State.AVAILABLE},
    {"state": (State.DISCARDED, State.CANCELLED)},
    {"queue": "mail"},
    {"tag": "t", "state": WAITING},
    {"workflow": 1},
    {"key": "a"},
    {"error": "ValueError"},
    {"older_than": MINUTE},
    {"newer_than": MINUTE},
    {"running_longer_than": SECOND},
    {"args": {"a": 1}},
)


class Looking(Scheduling):
    """What a history looks at, besides what it does with schedules."""

    model: ViewedModel

    @property
    def last_flow(self) -> int | None:
        """Return the newest workflow that has jobs: one without may be gone."""
        return max((job.workflow or 0 for job in self.model.jobs.values()), default=0) or None

    def looks(self, who: int) -> None:
        """As people do: at jobs, and at what is around them."""
        self.same("ends", self.jobs[-20:])
        for id in some(self.jobs, (who, 3 * who)):
            self.timed("why", id)
            self.same("graph", None, id)
        if self.last_flow:
            self.same("graph", self.last_flow, None)
        self.timed("browse", Filter(**FILTERS[who % len(FILTERS)]), "newest")
        self.timed("browse", Filter(), "due")
        self.timed("browse", Filter(queue=pick(QUEUES, who)), "next")
