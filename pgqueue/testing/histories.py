"""Random histories, played by stores and by the model, which must answer alike.

    play({"postgres": open_empty}, histories=500, seed=1)

Several workers, some of which freeze; leases that go stale; graphs that fail, are cancelled and
retried and grow; pauses, unique keys, retention; a clock that jumps. Each answer is compared, and
at the end all that can be read. A difference is shrunk to the shortest history that shows it.

Not compared is what is nobody's promise: places in a queue, of which only the order of claims
counts; when exactly `prune` drops what has just got past its retention; wake-ups.
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
from pgqueue.errors import LeaseLost, UnknownParent
from pgqueue.graphs import workflow
from pgqueue.hands import Completion
from pgqueue.jobs import FINISHED, Edge, NewJob, State
from pgqueue.operations import ClaimedJob, Completed, Failed, Progress, Released, Retention, Told
from pgqueue.testing.model import Model
from pgqueue.testing.side import Side

T = TypeVar("T")
NOON: Final = datetime(2030, 6, 1, 12, tzinfo=UTC)
QUEUES: Final = ("default", "mail")
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
NOTHING = timedelta(0)

RETENTIONS: Final = (
    Retention(),
    Retention(completed=NOTHING),
    Retention(DAY, NOTHING, None),
    Retention(NOTHING, NOTHING, NOTHING),
)
KINDS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {},
    {"priority": -1},
    {"queue": "mail"},
    {"unique": "a"},
    {"unique": "b", "queue": "mail"},
    {"delay": 5 * SECOND},
    {"run_at": NOON - DAY},
    {"run_at": NOON + MINUTE},
    {"max_attempts": 1},
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
    (Progress, '{"fraction": 0.5}'),
    (Progress, '{"checkpoint": [7]}'),
)
VERBS: Final[Mapping[Any, str]] = {Completed: "complete", Failed: "fail", Released: "release"}
WAITING: Final = frozenset(State) - FINISHED
FAILED: Final = FINISHED - {State.COMPLETED}
OFTEN = st.sampled_from((True, True, True, False))
SELDOM = st.sampled_from((False, False, False, False, True))
# Which of the things there are, counted from the newest.
PICK = st.integers(0, 15)
PICKS = st.lists(PICK, min_size=1, max_size=4, unique=True)
WISH = st.tuples(
    st.integers(0, len(KINDS) - 1), st.lists(st.tuples(PICK, st.booleans()), max_size=3)
)
WISHES = st.lists(WISH, min_size=1, max_size=4)


CHORES: Final = (
    "heartbeat", "rescue", "rescue", "sweep", "join", "leave", "elect", "resign", "pause", "resume",
    "prune", "look",
)  # fmt: skip
CLAIM = st.tuples(st.just("claim"), st.sampled_from(QUEUES), PICK, st.integers(1, 5))
ATTEMPT = st.tuples(st.just("attempt"), PICKS, st.sampled_from(ENDINGS), SELDOM)
# The rules of one machine would switch each other off: half of the histories would not enqueue.
# The first is the least, so that a history shrinks to steps in which nothing happens, and these go.
EVENT = st.one_of(
    st.tuples(
        st.just("time_passes"), st.sampled_from((NOTHING, SECOND, 5 * SECOND, MINUTE, 10 * MINUTE))
    ),
    st.tuples(st.just("enqueue"), WISHES, st.sampled_from((None, None, None, "new", "last"))),
    CLAIM,
    CLAIM,
    ATTEMPT,
    ATTEMPT,
    st.tuples(st.just("grow"), PICK, WISHES, st.booleans(), st.booleans(), SELDOM),
    st.tuples(st.just("cancel"), PICKS, SELDOM),
    st.tuples(st.just("retry"), PICKS, OFTEN, SELDOM),
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
    """Plays that many *histories* of so many *steps* on *stores*, each opened empty every time.

    *told* is called after each history. Raises AssertionError, with the shortest history that
    shows it, when a store and the model differ. The same *seed* plays the same histories.
    """

    def history() -> History:
        return History({name: open_empty() for name, open_empty in stores.items()}, told)

    history._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]
    run(
        history,  # type: ignore[arg-type]
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


class History(RuleBasedStateMachine):
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
        self.model = Model(retention.kept())
        self.sides = [Side(n, backend, retention.kept()) for n, backend in self.backends.items()]
        self.jobs: list[int] = []
        self.hands: list[ClaimedJob] = []
        self.gone: list[ClaimedJob] = []
        self.members: list[int] = []
        self.leases: dict[int, int] = {}
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
        """Jobs, after each other and after those *known*."""
        jobs: list[NewJob[Any]] = []
        for kind, parents in wishes:
            candidates: list[int | NewJob[Any]] = [*known[-12:], *jobs]
            edges: dict[int, Edge] = {}
            for number, anyway in parents if candidates else ():
                parent = pick(candidates, number)
                edges.setdefault(id(parent), Edge(parent, "run" if anyway else "cancel"))
            jobs.append(NewJob("task", edges=tuple(edges.values()), **KINDS[kind]))
        return jobs

    @property
    def last_flow(self) -> int | None:
        """The newest workflow that has jobs: one without may be gone."""
        return max((job.workflow or 0 for job in self.model.jobs.values()), default=0) or None

    # Attempts

    def claim(self, queue: str, who: int, limit: int) -> None:
        worker = pick(self.members, who)
        self.leases[worker] += 1
        self.hands += self.timed("claim", queue, worker, self.leases[worker], limit)

    def attempt(self, picks: list[int], ending: tuple[Any, ...], stale: bool) -> None:
        report, *rest = ending
        jobs = self.taken(picks, stale, keep=report is Progress)
        reports = [report(job.id, job.lease, *rest) for job in jobs]
        if report is Progress:
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

    # Time, and what the leader does

    def time_passes(self, time: timedelta) -> None:
        self.now += time
        self.timed("promote")

    def chore(self, what: str, who: int) -> None:
        worker = pick(self.members, who)
        if what == "heartbeat":
            held = [(job.id, job.lease) for job in (*self.hands, *self.gone)]
            self.timed("heartbeat", worker, held)
        elif what == "rescue":
            self.timed("rescue", MINUTE, who % 3)
        elif what == "pause" and not self.model.paused:
            self.timed("pause", pick(QUEUES, who))
        elif what in ("pause", "resume"):
            self.same("resume", pick(QUEUES, who))
        elif what == "look":
            self.same("get", self.jobs[-20:])
        elif what == "join":
            self.joins()
        elif what == "leave" and len(self.members) > 1:
            self.same("leave", worker)
        elif what == "sweep":
            self.timed("sweep")
        elif what == "elect":
            self.timed("elect", "leader", worker, MINUTE)
        elif what == "resign":
            self.same("resign", "leader", worker)
        elif what == "prune":
            # Long after, so that what is past its retention is past all doubt.
            self.now += 100 * DAY
            self.timed("prune", self.retention)

    def joins(self) -> None:
        member = self.timed("join")
        self.members.append(member.worker)
        self.leases[member.worker] = member.lease

    def teardown(self) -> None:
        """All that can be read is alike, and nothing is left to be mended."""
        try:
            if self.alike:
                for reading in ("listing", "present", "pauses", "counts", "flows"):
                    self.same(reading)
                self.same("parents", sorted(self.model.jobs))
                self.timed("sweep")
        finally:
            self.told()

    # Both

    def states(self) -> set[State]:
        return {job.state for job in self.model.jobs.values()}

    def taken(self, picks: list[int], stale: bool, keep: bool = False) -> list[ClaimedJob]:
        """Jobs out of the hands of workers; or *stale*, that were once."""
        jobs = some(self.gone if stale else self.hands, picks)
        if not stale and not keep:
            self.hands = [job for job in self.hands if job not in jobs][-20:]
            self.gone = [*self.gone, *jobs][-20:]
        return jobs

    def timed(self, verb: str, *args: Any, **options: Any) -> Any:
        return self.same(verb, *args, **options, now=self.now)

    def same(self, verb: str, *args: Any, **options: Any) -> Any:
        """Asks the model and every store; they answer alike."""
        self.alike = False
        expected = _answer(getattr(self.model, verb), *args, **options)
        for side in self.sides:
            answer = _answer(getattr(side, verb), *args, **options)
            if answer != expected:
                raise AssertionError(_difference(side.name, verb, answer, expected))
        self.alike = True
        return expected


def pick(things: Sequence[T], number: int) -> T:
    """One of *things*, counted from the newest, round and round."""
    return things[-1 - number % len(things)]


def some(things: Sequence[T], numbers: Sequence[int]) -> list[T]:
    """Several of *things*; none, where there are none."""
    places = {number % len(things): None for number in numbers if things}
    return [things[-1 - place] for place in places]


def _answer(verb: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        answer = verb(*args, **options)
    except (LeaseLost, UnknownParent) as error:
        return type(error).__name__
    return (dict(answer), answer.freed) if isinstance(answer, Told) else answer


def _difference(store: str, verb: str, answer: Any, expected: Any) -> str:
    """What is different, and no more of long answers."""
    if isinstance(answer, list) and isinstance(expected, list):
        theirs, ours = ([str(x) for x in xs] for xs in (answer, expected))
        if sorted(theirs) != sorted(ours):
            answer = "\n    ".join(text for text in theirs if text not in ours)
            expected = "\n    ".join(text for text in ours if text not in theirs)
    return f"{verb}\n  {store}: {answer}\n  the model: {expected}"
