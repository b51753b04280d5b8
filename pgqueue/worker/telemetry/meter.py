"""The Meter: counts what the store has confirmed, and how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import repeat
from operator import attrgetter
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakSet

from pgqueue.jobs.job import State
from pgqueue.jobs.tally import Bridge, Figures, Series
from pgqueue.operations import ClaimedJob, Completed, Failed, Released

if TYPE_CHECKING:
    from pgqueue.worker.running.run import Run

meters: Final[WeakSet[Meter]] = WeakSet()
"""Those of the workers in this process."""
MANY: Final = 1_000
EACH_OF_MANY: Final = 32
_HELD: Final = attrgetter("id", "lease")
_QUEUE: Final = attrgetter("queue")
_TASK: Final = attrgetter("task")
_KEY: Final = attrgetter("queue", "task")
_OUTCOMES: Final = {
    State.AVAILABLE: "retried",
    State.RETRYABLE: "retried",
    State.DISCARDED: "discarded",
    State.CANCELLED: "cancelled",
}


class Timed(NamedTuple):
    """When an attempt started and ended, by the monotonic clock, and for how many it counts."""

    job: ClaimedJob
    started_at: float
    ended_at: float
    weight: int


class Meter:
    """What one worker has counted. A job that was handed back, at a shutdown say, has not ended.

    Every end is counted. How long jobs took is measured of each, until so many end that this would
    be felt: beyond MANY a second, of one in EACH_OF_MANY, which counts for all of these.
    It is told on the event loop and read from any thread: what is read is copied at once.
    """

    def __init__(
        self,
        app: object,
        slots: int,
        lag: Callable[[], float],
        running: Callable[[], Iterable[Run]],
        bridges: Callable[[], list[Bridge]] = list,
    ) -> None:
        self.app = app
        self._slots = slots
        self._lag = lag
        self._running = running
        self._bridges = bridges
        # By id and lease: the next attempt may end before the answer about this one is here.
        self._ended: dict[tuple[int, int], ClaimedJob] = {}
        self._timed: dict[tuple[int, int], Timed] = {}
        self._turn, self._every = 0, 1
        self._seen, self._seen_since = 0, monotonic()
        self._series: dict[tuple[str, str], Series] = {}
        self._changed: set[tuple[str, str]] = set()
        self._lost = 0
        meters.add(self)

    def ends(self, run: Run) -> None:
        """The ending of *run* goes to the store."""
        # The job alone: a run would keep its asyncio task alive until the store answers.
        job = run.job
        held = job.id, job.lease
        self._ended[held] = job
        self._turn += 1
        if self._turn >= self._every:
            self._turn = 0
            if run.started_at:
                self._timed[held] = Timed(job, run.started_at, monotonic(), self._every)

    def lost(self) -> None:
        """A job that had not ended here is another worker's by now."""
        self._lost += 1

    def confirmed(
        self, endings: Sequence[Completed | Failed | Released], answers: Collection[tuple[int, int]]
    ) -> None:
        """The store has taken *endings*, but for those that *answers* does not name."""
        if not endings:
            return
        if len(answers) == len(endings) and type(endings[0]) is Completed:
            # Loops in C: this is a hot path.
            taken = map(self._ended.pop, map(_HELD, endings), repeat(None))
            self._count("completed", list(filter(None, taken)))
        else:
            for outcome, jobs in self._by_outcome(endings, answers).items():
                self._count(outcome, jobs)
        if self._timed:
            self._measure()
        self._adapt(len(endings))

    def _by_outcome(
        self, endings: Sequence[Completed | Failed | Released], answers: Collection[tuple[int, int]]
    ) -> dict[str, list[ClaimedJob]]:
        found: dict[str, list[ClaimedJob]] = {}
        for ending in endings:
            job = self._ended.pop(ending.held, None)
            if job is None:
                continue
            outcome = _outcome(ending, answers) if ending.held in answers else None
            if ending.held not in answers:
                self._lost += 1
            if outcome is None:
                self._timed.pop(ending.held, None)
            else:
                found.setdefault(outcome, []).append(job)
        return found

    def _count(self, outcome: str, jobs: Sequence[ClaimedJob]) -> None:
        queues = set(map(_QUEUE, jobs))
        if len(queues) == 1:  # a batch mostly has; a text is counted faster than a pair of them
            [queue] = queues
            counts = {(queue, task): n for task, n in Counter(map(_TASK, jobs)).items()}
        else:
            counts = Counter(map(_KEY, jobs))
        for key, number in counts.items():
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series(*key)
            series.count(outcome, number)
            self._changed.add(key)

    def _measure(self) -> None:
        """Those that were timed and have been counted by now."""
        begin = time() - monotonic()  # the wall clock when the monotonic one was at zero
        for held in self._timed.keys() - self._ended.keys():
            job, started_at, ended_at, weight = self._timed.pop(held)
            series = self._series[_KEY(job)]
            series.ran.add(ended_at - started_at, weight)
            series.waited.add(max(0.0, begin + started_at - job.run_at), weight)

    def _adapt(self, number: int) -> None:
        """Has fewer runs be timed while many end."""
        self._seen += number
        now = monotonic()
        passed = now - self._seen_since
        if passed > 1 or self._seen > MANY:
            self._every = EACH_OF_MANY if self._seen > MANY * max(1.0, passed) else 1
            if passed > 1:
                self._seen, self._seen_since = 0, now

    def figures(self) -> Figures:
        """All that has been counted, and how things are."""
        return self._present(list(self._series.values()))

    def changes(self) -> Figures:
        """As `figures`, but only of the series that have changed since this was asked last."""
        changed, self._changed = self._changed, set()
        return self._present([self._series[key] for key in changed])

    def _present(self, series: list[Series]) -> Figures:
        running = Counter(run.job.queue for run in self._running() if run.task is not None)
        lag, bridges = self._lag(), self._bridges()
        return Figures(series, self._lost, dict(running), self._slots, lag, bridges)


def _outcome(ending: Completed | Failed | Released, answers: Any) -> str | None:
    if isinstance(ending, Completed):
        return "completed"
    state = answers[ending.held]
    if isinstance(ending, Released) and state != State.CANCELLED:
        return "snoozed" if ending.delay and not ending.unknown else None
    return _OUTCOMES.get(state)
