"""Random histories, played by stores and by the model, which must answer alike.

    play({"postgres": open_empty}, histories=500, seed=1)

There are several workers, some of which freeze; leases that go stale; graphs that fail, are
cancelled, are retried and grow; pauses, unique keys, retention; a clock that jumps. Each answer is
compared, and at the end all that can be read. A difference is shrunk to the shortest history that
shows it.

Not compared is what nobody promises: places in a queue, of which only the order of claims counts;
when exactly `prune` drops jobs that have just passed their retention; the edges of a job that is
gone; wake-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from hypothesis.stateful import run_state_machine_as_test as run

from pgqueue.backends.base import Backend
from pgqueue.jobs.completion import Completion
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.graphs import workflow
from pgqueue.jobs.job import FINISHED, Edge, NewJob, State
from pgqueue.jobs.limits import KeyLimits
from pgqueue.jobs.retention import Retention
from pgqueue.jobs.unique import Merge, Unique
from pgqueue.operations import (
    ClaimedJob,
    Completed,
    Failed,
    ProgressReport,
    Released,
)
from pgqueue.testing.answers import answer_of, difference, pick, some
from pgqueue.testing.histories_schedules import NAMES, SCHEDULED
from pgqueue.testing.histories_views import FILTERS, QUEUES, WAITING, Looking
from pgqueue.testing.model_limits import KEY_LIMITS, LIMITS
from pgqueue.testing.model_views import ViewedModel
from pgqueue.testing.renumbered_views import ViewedStore

T = TypeVar("T")
NOON: Final = datetime(2030, 6, 1, 12, tzinfo=UTC)

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
NOTHING = timedelta(0)

RETENTIONS: Final = (
    Retention(),
    Retention(completed=NOTHING),
    Retention(DAY, NOTHING, None),
    Retention(NOTHING, NOTHING, NOTHING),
)
DEBOUNCED: Final = Unique(until="started", conflict="replace", at_most=15)
THROTTLED: Final = Unique(until="started", conflict="replace", keep=("run_at", "queue"))
MERGED: Final = Unique(until="started", conflict=Merge("l"))
KINDS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {},
    {"priority": -1},
    {"queue": "mail"},
    {"key": "a"},
    {"key": "b", "queue": "mail", "priority": -1},
    {"unique": "a"},
    {"unique": "b", "queue": "mail"},
    {"unique": "w", "uniqueness": Unique(until=60)},
    {"unique": "s", "uniqueness": Unique(until="started")},
    {"unique": "s", "uniqueness": Unique(until="started", conflict="raise"), "delay": 5 * SECOND},
    {"unique": "s", "uniqueness": DEBOUNCED, "delay": 10 * SECOND, "args": '{"l": [2]}'},
    {"unique": "s", "uniqueness": THROTTLED, "key": "a", "args": '{"a": 2}', "keep": False},
    {"unique": "s", "uniqueness": MERGED, "args": '{"l": [1, "]"]}', "expires": 5 * MINUTE},
    {"delay": 5 * SECOND},
    {"run_at": NOON - DAY},
    {"run_at": NOON + MINUTE},
    {"max_attempts": 1, "args": '{"a": 1}'},
    {"expires": 10 * SECOND},
    {"expires": NOON + 5 * MINUTE, "keep": False},
    {"keep": False},
    {"max_attempts": 2, "priority": 1, "timeout": MINUTE, "tags": ("t",), "metadata": '{"m": 1}'},
)
ERROR: Final = '{"type": "ValueError", "message": "no"}'
ENDINGS: Final[Sequence[tuple[Any, ...]]] = (
    (Completed,),
    (Completed, "1"),
    (Completed, '{"a": [1]}'),
    (Failed, "retry"),
    (Failed, "retry", SECOND, None, ERROR),
    (Failed, "retry", MINUTE, "because", ERROR),
    (Failed, "discard", None, "because", ERROR),
    (Failed, "discard"),
    (Failed, "cancel", None, "because"),
    (Released,),
    (Released, SECOND),
    (Released, SECOND, True),
    (Released, None, True),
    (Released, None, False, True),
    (ProgressReport, '{"fraction": 0.5}'),
    (ProgressReport, '{"checkpoint": [7]}'),
)
VERBS: Final[Mapping[Any, str]] = {Completed: "complete", Failed: "fail", Released: "release"}
FAILED: Final = FINISHED - {State.COMPLETED}
OFTEN = st.sampled_from((True, True, True, False))
SELDOM = st.sampled_from((False, False, False, False, True))
# Picks one of the things that exist, counted from the newest.
PICK = st.integers(0, 15)
PICKS = st.lists(PICK, min_size=1, max_size=4, unique=True)
WISH = st.tuples(
    st.integers(0, len(KINDS) - 1), st.lists(st.tuples(PICK, st.booleans()), max_size=3)
)
WISHES = st.lists(WISH, min_size=1, max_size=4)


MANY: Final = ("move", "purge", "cancel", "choose")
FILTER = st.tuples(st.integers(0, len(FILTERS) - 1), st.booleans())


CHORES: Final = (
    "heartbeat", "rescue", "rescue", "expire", "sweep", "join", "leave", "elect", "resign",
    "pause", "resume", "prune", "look",
)  # fmt: skip
CLAIM = st.tuples(st.just("claim"), st.sampled_from(QUEUES), PICK, st.integers(1, 5))
TURN = st.tuples(
    st.just("turn"), st.sampled_from(QUEUES), PICK, st.integers(1, 6), st.integers(1, 3)
)
ATTEMPT = st.tuples(st.just("attempt"), PICKS, st.sampled_from(ENDINGS), SELDOM)
# A single rule chooses the event: hypothesis sometimes switches rules off, and then half of the
# histories would not enqueue. The first event is the least, so a history shrinks to steps in which
# nothing happens, and these are dropped.
EVENT = st.one_of(
    st.tuples(
        st.just("time_passes"), st.sampled_from((NOTHING, SECOND, 5 * SECOND, MINUTE, 10 * MINUTE))
    ),
    st.tuples(st.just("enqueue"), WISHES, st.sampled_from((None, None, None, "new", "last"))),
    CLAIM,
    CLAIM,
    TURN,
    TURN,
    st.tuples(st.just("limit"), st.sampled_from(QUEUES), st.sampled_from(LIMITS)),
    st.tuples(st.just("limit_key"), st.sampled_from(QUEUES), st.sampled_from(KEY_LIMITS)),
    ATTEMPT,
    ATTEMPT,
    st.tuples(st.just("grow"), PICK, WISHES, st.booleans(), st.booleans(), SELDOM),
    st.tuples(st.just("cancel"), PICKS, SELDOM),
    st.tuples(st.just("retry"), PICKS, OFTEN, SELDOM),
    st.tuples(
        st.just("many"), st.sampled_from(("move", "purge", "cancel", "choose")), PICKS, FILTER
    ),
    *SCHEDULED,
    st.tuples(st.just("chore"), st.sampled_from(CHORES), PICK),
)


def play(
    stores: Mapping[str, Callable[[], Backend]],
    *,
    histories: int,
    steps: int = 100,
    seed: int = 0,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Play as many *histories* of so many *steps* on *stores*, each opened empty every time.

    *told* is called after each history. Raises AssertionError, with the shortest history that shows
    it, when a store and the model differ. The same *seed* plays the same histories.
    """

    def history() -> History:
        return History({name: open_empty() for name, open_empty in stores.items()}, told)

    # As hypothesis.seed sets it, which only accepts tests.
    history._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]
    run(
        history,  # type: ignore[arg-type]  # it takes any function that makes one
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )


class History(Looking, RuleBasedStateMachine):
    """One history: the model, the stores, and what the workers have in their hands."""

    def __init__(self, backends: Mapping[str, Backend], told: Callable[[], None]) -> None:
        super().__init__()
        self.alike = False
        self.backends = backends
        self.told = told

    @initialize(retention=st.sampled_from(RETENTIONS), wishes=WISHES)
    def opens(self, retention: Retention, wishes: list[Any]) -> None:
        self.now = NOON
        self.retention = retention
        self.model = ViewedModel(retention.archived_states())
        self.sides = [
            ViewedStore(n, backend, retention.archived_states())
            for n, backend in self.backends.items()
        ]
        self.jobs: list[int] = []
        self.hands: list[ClaimedJob] = []
        self.gone: list[ClaimedJob] = []
        self.members: list[int] = []
        self.leases: dict[int, int] = {}
        self.after: dict[str, str] = {}
        self.alike = True
        self.joins()
        self.enqueue(wishes, None)

    @rule(event=EVENT)
    def happens(self, event: tuple[Any, ...]) -> None:
        what, *details = event
        getattr(self, what)(*details)

    # Jobs come

    def enqueue(self, wishes: list[Any], flow: str | None) -> None:
        jobs = self.wanted(wishes, self.jobs)
        joined = workflow("flow", jobs, tags=["f"]) if flow == "new" else flow and self.last_flow
        self.timed("enqueue", jobs, workflow=joined)
        self.jobs = list(self.model.jobs)

    def wanted(self, wishes: list[Any], known: list[int]) -> list[NewJob[Any]]:
        """Return jobs after each other and after those *known*."""
        jobs: list[NewJob[Any]] = []
        for kind, parents in wishes:
            candidates: list[int | NewJob[Any]] = [*known[-12:], *jobs]
            edges: dict[int, Edge] = {}
            rule = KINDS[kind].get("uniqueness")
            for number, anyway in parents if candidates and not (rule and rule.replaces) else ():
                parent = pick(candidates, number)
                edges.setdefault(id(parent), Edge(parent, "run" if anyway else "cancel"))
            jobs.append(NewJob("task", edges=tuple(edges.values()), **KINDS[kind]))
        return jobs

    # Attempts

    def claim(self, queue: str, who: int, limit: int) -> None:
        worker = pick(self.members, who)
        self.leases[worker] += 1
        self.hands += self.timed("claim", queue, worker, self.leases[worker], limit)

    def turn(self, queue: str, who: int, limit: int, quantum: int) -> None:
        worker = pick(self.members, who)
        self.leases[worker] += 1
        where = (queue, worker, self.leases[worker], limit, self.after.get(queue, ""), quantum)
        turn = self.timed("claim_in_turn", *where, 2 + who % 3)
        self.after[queue] = turn.after
        self.hands += turn.jobs

    def limit(self, queue: str, fields: dict[str, Any]) -> None:
        self.same("limit", queue, fields)

    def limit_key(self, queue: str, limits: KeyLimits | None) -> None:
        self.same("limit_key", queue, "a", limits)

    def attempt(self, picks: list[int], ending: tuple[Any, ...], stale: bool) -> None:
        report, *rest = ending
        jobs = self.taken(picks, stale, keep=report is ProgressReport)
        reports = [report(job.id, job.lease, *rest) for job in jobs]
        if report is ProgressReport:
            self.same("progress", reports)
        else:
            self.timed(VERBS[report], reports)

    def grow(self, at: int, wishes: list[Any], graft: bool, flow: bool, stale: bool) -> None:
        for job in self.taken([at], stale):
            free = [wish for wish in wishes if "unique" not in KINDS[wish[0]]]
            added = tuple(self.wanted(free, []) if graft else ())
            jobs = self.wanted([] if graft else wishes, self.jobs)
            flows = (workflow("grown", [NewJob("task")]),) if flow else ()
            self.timed("completing", job, Completion("1", (*added, *jobs), added, flows))
            self.jobs = list(self.model.jobs)

    # Persons

    def cancel(self, picks: list[int], flow: bool) -> None:
        self.timed("cancel", some(self.jobs, picks), self.last_flow if flow else None)

    def retry(self, picks: list[int], failed: bool, flow: bool) -> None:
        jobs = self.model.jobs
        ids = [id for id in jobs if jobs[id].state in FAILED] if failed else self.jobs
        self.timed("retry", some(ids, picks), self.last_flow if flow else None)

    def many(self, what: str, picks: list[int], choice: tuple[int, bool]) -> None:
        number, newest = choice
        ids = sorted(some(self.jobs, picks))
        if what == "move":
            self.same("move", ids, pick((*QUEUES, None), number), pick((-1, 0, None), number // 3))
        elif what == "purge":
            self.same("purge", ids)
        elif what == "cancel":
            self.timed("cancel", ids, None, pick((WAITING, {State.RUNNING}, FINISHED), number))
        else:
            self.timed("choose", Filter(**FILTERS[number]), newest)

    # Time, and what the leader does

    def time_passes(self, time: timedelta) -> None:
        self.now += time
        self.timed("promote")

    def chore(self, what: str, who: int) -> None:
        worker = pick(self.members, who)
        if what == "heartbeat":
            held = [(job.id, job.lease) for job in (*self.hands, *self.gone)]
            self.timed("heartbeat", worker, held)
            self.same("recollect", worker)
        elif what == "rescue":
            self.timed("rescue", MINUTE, who % 3)
        elif what == "pause" and not self.model.paused:
            self.timed("pause", pick(QUEUES, who))
        elif what in ("pause", "resume"):
            self.same("resume", pick(QUEUES, who))
        elif what == "look":
            self.same("get", self.jobs[-20:])
            self.timed("counts")
            self.timed("usage", pick(QUEUES, who))
            self.same("turns", QUEUES)
            self.looks(who)
        elif what == "join":
            self.joins()
        elif what == "leave" and len(self.members) > 1:
            self.same("leave", worker)
        elif what in ("sweep", "expire"):
            self.timed(what)
        elif what == "elect":
            self.timed("elect", "leader", worker, MINUTE)
        elif what == "resign":
            self.same("resign", "leader", worker)
        elif what == "prune":
            # Long after, so that each job is either well past its retention or well before it.
            self.now += 100 * DAY
            self.timed("prune", self.retention)

    def joins(self) -> None:
        member = self.timed("join")
        self.members.append(member.worker)
        self.leases[member.worker] = member.lease

    def teardown(self) -> None:
        """Check that all that can be read is alike, and that nothing is left to be repaired."""
        try:
            if self.alike:
                for reading in ("listing", "present", "pauses", "flows", "exceptions"):
                    self.same(reading)
                self.same("parents", sorted(self.model.jobs))
                for name in NAMES:
                    self.same("firings", name)
                self.timed("schedules")
                self.timed("counts")
                for queue in QUEUES:
                    self.timed("usage", queue)
                for who in range(4):
                    self.looks(who)
                self.timed("sweep")
        finally:
            self.told()

    # Both

    def states(self) -> set[State]:
        return {job.state for job in self.model.jobs.values()}

    def taken(self, picks: list[int], stale: bool, keep: bool = False) -> list[ClaimedJob]:
        """Return jobs that workers have; *stale*: that they had once."""
        jobs = some(self.gone if stale else self.hands, picks)
        if not stale and not keep:
            self.hands = [job for job in self.hands if job not in jobs][-20:]
            self.gone = [*self.gone, *jobs][-20:]
        return jobs

    def timed(self, verb: str, *args: Any, **options: Any) -> Any:
        return self.same(verb, *args, **options, now=self.now)

    def same(self, verb: str, *args: Any, **options: Any) -> Any:
        """Ask the model and every store, and require that they answer alike; return the answer."""
        self.alike = False
        expected = answer_of(getattr(self.model, verb), *args, **options)
        for side in self.sides:
            answer = answer_of(getattr(side, verb), *args, **options)
            if answer != expected:
                raise AssertionError(difference(side.name, verb, answer, expected))
        self.alike = True
        self.model.check_key("s")
        return expected
