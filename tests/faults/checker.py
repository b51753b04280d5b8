"""The checker: compares what was promised with what happened, and knows nothing of how.

Each rule is a function of the facts that yields what it finds wrong. None of them depends on how
fast the machine is: an order of events is wrong, or a state is, or a count.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from tests.faults.edits import clashed, heeded, single, undone, windowed
from tests.faults.facts import FINISHED, FIRST_DOCUMENT, Facts, Order, Run
from tests.faults.limits import crowded, ordered, rated
from tests.faults.overlaps import overlapping, replaced, replaces
from tests.faults.schedules import backfilled, delayed, fired, timely, unfired
from tests.faults.triggers import started, triggered
from tests.faults.waits import waits

LONGEST_WAIT = 15.0  # behind somebody else's lock, while one leader after the other is killed
PLANNED = {"failed", "snoozed"}  # after these another run was to be expected


@dataclass(frozen=True, slots=True)
class Violation:
    rule: str
    text: str
    job: int | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """A run too many, and the fault that explains it."""

    job: int
    fault: str


def check(facts: Facts) -> list[Violation]:
    """Everything that is wrong, rule by rule."""
    return [Violation(name, text, job) for name, rule in RULES.items() for job, text in rule(facts)]


Findings = Iterator[tuple[int | None, str]]


def kept(facts: Facts) -> Findings:
    """What the producer saw committed is there; what it rolled back is not."""
    for key, (fate, _) in facts.fates.items():
        if fate == "committed" and key not in facts.by_key:
            yield None, f"order {key} was committed, and is gone"
        elif fate == "rolled back" and key in facts.by_key:
            yield facts.by_key[key].job, f"order {key} was rolled back, and is there"


def lost(facts: Facts) -> Findings:
    """Each committed order has its job, once."""
    for order in facts.orders:
        if order.job not in facts.by_id:
            yield order.job, f"job {order.job} of the committed order {order.key} is gone"
    for id, count in Counter(job.id for job in facts.jobs).items():
        if count > 1:
            yield id, f"job {id} is there {count} times"


def phantom(facts: Facts) -> Findings:
    """Each job, and each run, belongs to an order that committed."""
    created = {order.job: order.key for order in facts.orders if order.created}
    for job in facts.jobs:
        if job.key >= 0 and created.get(job.id) != job.key:
            yield job.id, f"job {job.id} exists, but no committed order {job.key} made it"
    known = set(created) | {job.id for job in facts.jobs if job.key < 0}
    for id, runs in facts.runs.items():
        if id not in known:
            yield id, f"job {id} ran {len(runs)} times, and never was committed"


def spawned(facts: Facts) -> Findings:
    """What a job enqueues appears once if it completes, and never otherwise."""
    children = Counter(-job.key for job in facts.jobs if job.key < 0)
    for order in facts.orders:
        if order.created and order.plan == "spawn" and (job := facts.by_id.get(order.job)):
            wanted = 1 if job.state == "completed" else 0
            if children[order.key] != wanted:
                yield job.id, f"job {job.id} is {job.state} and left {children[order.key]} jobs"


def terminal(facts: Facts) -> Findings:
    """Every job has ended."""
    for job in facts.jobs:
        if job.state not in FINISHED:
            yield job.id, f"job {job.id} is still {job.state}: {facts.gave_up or 'too early?'}"


def ending(facts: Facts) -> Findings:
    """A job without parents ends as its order says."""
    for order in facts.orders:
        job = facts.by_id.get(order.job)
        if job and order.created and not order.parents and job.state in FINISHED:
            wanted = _wanted(order)
            if job.state != wanted:
                yield job.id, f"job {job.id} is {job.state}, its order wants {wanted}"
    for job in facts.jobs:
        if (
            FIRST_DOCUMENT < job.key < 0
            and job.state in ("cancelled", "discarded")
            and not (job.state == "cancelled" and replaces(facts, job))
        ):
            yield job.id, f"job {job.id} is {job.state}, nobody wanted that"


def edges(facts: Facts) -> Findings:
    """No child runs before its parents end, and none whose parent's end has cancelled it."""
    for order in facts.orders:
        job = facts.by_id.get(order.job)
        if not order.parents or job is None or not order.created:
            continue
        began = min((run.started_at for run in facts.runs.get(job.id, ())), default=inf)
        spoiled = False
        for edge in order.parents:
            above = facts.by_key.get(edge.key)
            parent = above and facts.by_id.get(above.job)
            if parent is None or parent.state not in FINISHED:
                if began < inf:
                    yield job.id, f"job {job.id} ran, its parent of order {edge.key} never ended"
                continue
            spoiled |= parent.state != "completed" and edge.policy == "cancel"
            ended = facts.ended(parent.id) or 0.0
            if began < ended:
                yield (
                    job.id,
                    f"job {job.id} ran {ended - began:.3f} s before parent {parent.id} ended",
                )
        wanted = "cancelled" if spoiled else _wanted(order)
        if job.state in FINISHED and job.state != wanted:
            yield job.id, f"job {job.id} is {job.state}, its parents and its order want {wanted}"
        if spoiled and began < inf:
            yield job.id, f"job {job.id} ran, although a parent's end cancels it"


def fenced(facts: Facts) -> Findings:
    """The result that was kept is that of the run which owned the job last."""
    for job in facts.jobs:
        if job.state != "completed":
            continue
        kept = facts.accepted(job)
        if kept is None or kept.name not in facts.whole:
            yield job.id, f"job {job.id} is completed with the result {job.result} of no whole run"
            continue
        for run in facts.runs[job.id]:
            if _was_forgotten(facts, kept, run):
                yield (
                    job.id,
                    f"job {job.id} was finished by run {kept.name} of {kept.worker}, which the "
                    f"store had forgotten, when run {run.name} of {run.worker} had it",
                )
            elif run.started_at > kept.started_at and not facts.blamed(
                [run.worker], kept.started_at, run.started_at
            ):
                yield (
                    job.id,
                    f"job {job.id} was finished by run {kept.name} of {kept.worker}, when run "
                    f"{run.name} of {run.worker} had it",
                )


def _was_forgotten(facts: Facts, kept: Run, run: Run) -> bool:
    """Was another store put in place after *kept* began, and did *run* begin in that store before
    *kept* ended?"""
    return any(
        fault.forgot_since is not None
        and fault.forgot_since <= kept.started_at <= fault.healed_at < run.started_at
        and (kept.ended_at or inf) > run.started_at
        for fault in facts.faults
    )


def booked(facts: Facts) -> Findings:
    """What a task writes in the transaction that completes its job is there once, or not at all."""
    rows: dict[int, list[str]] = defaultdict(list)
    for job, run in facts.bookings:
        rows[job].append(run)
    for order in facts.orders:
        job = facts.by_id.get(order.job)
        if job and order.created and order.executor == "book" and job.state in FINISHED:
            wanted = [job.result] if job.state == "completed" else []
            if rows[job.id] != wanted:
                yield job.id, f"job {job.id}, {job.state} by {job.result}, booked {rows[job.id]}"


def concurrency(facts: Facts) -> Findings:
    """No worker runs more jobs at once than it may."""
    lives = {worker.name: worker for worker in facts.workers}
    changes: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for runs in facts.runs.values():
        for run in runs:
            ended = run.ended_at
            if ended is None:  # when a pool's process was killed, nobody knows
                ended = run.started_at if run.executor == "process" else lives[run.worker].ended_at
            changes[run.worker] += [(run.started_at, 1), (ended, -1)]
    for name, worker in lives.items():
        at_once = most = 0
        for _, change in sorted(changes[name]):
            at_once += change
            most = max(most, at_once)
        if most > worker.concurrency:
            yield None, f"worker {name} ran {most} jobs at once, it may run {worker.concurrency}"


def unique(facts: Facts) -> Findings:
    """While an unfinished job holds a key, there is no second one."""
    holders: dict[str, dict[int, tuple[float, Order]]] = defaultdict(dict)
    for order in facts.orders:
        if order.unique and order.created and not order.started:
            committed_at = facts.fates.get(order.key, ("unknown", inf))[1]
            holders[order.unique][order.job] = (committed_at, order)
    for name, orders in holders.items():
        for job in facts.jobs:
            if job.id in orders and job.state not in FINISHED and len(orders) > 1:
                later = [id for id in orders if id > job.id]
                if later:
                    yield job.id, f"job {job.id} holds {name} still, and job {later[0]} exists"
        spans: list[tuple[float, float, int]] = []
        for id in orders:
            if (job := facts.by_id.get(id)) and (run := facts.accepted(job)):
                assert run.ended_at is not None
                spans.append((run.started_at, run.ended_at, id))
                for other, (_, second) in orders.items():
                    if other > id and facts.fates.get(second.key, ("", 0))[0] == "committed":
                        second_told = orders[other][0]
                        if second_told < run.ended_at:
                            yield other, f"job {other} got {name} before job {id} had ended"
        spans.sort()
        for (_, ended, one), (began, _, two) in pairwise(spans):
            if began < ended:
                yield two, f"jobs {one} and {two}, both with {name}, ran at once"


def rerun(facts: Facts) -> Findings:
    """A job runs again when its order says so, or when a fault befell the worker that had it."""
    for first, second, fault in _repeats(facts):
        if fault is None:
            yield (
                first.job,
                f"job {first.job} ran on {first.worker} ({first.how or 'no end'}) and again on "
                f"{second.worker} {second.started_at - first.started_at:.2f} s later, and nothing "
                "had happened to either",
            )
    for runs in facts.runs.values():
        for run in runs:
            if run.how == "broke" and not facts.blamed(
                [run.worker], run.started_at, run.ended_at or inf
            ):
                yield run.job, f"job {run.job} broke on {run.worker}, to which nothing had happened"


def robbed(facts: Facts) -> Findings:
    """No job is taken from a worker that is neither dead, nor frozen, nor forgotten by the store:
    whatever else has happened, that worker would have finished the job."""
    for first, second, fault in _repeats(facts):
        # Without a fault `rerun` reports it; "broke" means that the task itself failed.
        if fault is None or first.how == "broke":
            continue
        job = facts.by_id.get(first.job)
        # A thawed worker may begin a job that was taken from it and has ended elsewhere.
        over = (first.ended_at or inf) <= second.started_at
        owner = second if over and job and facts.accepted(job) == first else first
        if not facts.robbed_by(owner.worker, first.started_at, second.started_at):
            yield (
                first.job,
                f"job {first.job} ran on {first.worker} ({first.how or 'no end'}) and again on "
                f"{second.worker} {second.started_at - first.started_at:.2f} s later; {fault} "
                f"had befallen one of them, and neither kills nor freezes",
            )


def waited(facts: Facts) -> Findings:
    """No job waits long behind a row that another transaction holds, unless it needs that row."""
    for wait in waits(facts):
        if wait.seconds > LONGEST_WAIT:
            yield (
                wait.job,
                f"job {wait.job} waited {wait.seconds:.1f} s for {wait.until}, and all it can have "
                f"waited for is {wait.behind}, which is not its own",
            )


def alive(facts: Facts) -> Findings:
    """No worker dies by itself, and none needs a restart to take part again."""
    for worker in facts.workers:
        if not worker.asked:
            yield None, f"worker {worker.name} ended by itself, with exit code {worker.exit_code}"
        if worker.hung:
            yield None, f"worker {worker.name} did not stop within a minute of SIGTERM"
    for name, present in facts.roll_call.items():
        if not present:
            yield None, f"worker {name} takes no jobs any more"


def repeats(facts: Facts) -> list[Repeat]:
    """Runs that faults have caused, and by which fault."""
    return [Repeat(run.job, fault) for run, _, fault in _repeats(facts) if fault is not None]


def _repeats(facts: Facts) -> Iterator[tuple[Run, Run, str | None]]:
    for runs in facts.runs.values():
        for first, second in pairwise(runs):
            if first.how in PLANNED:
                continue
            fault = facts.blamed([first.worker, second.worker], first.started_at, second.started_at)
            yield first, second, fault.kind if fault else None


def _wanted(order: Order) -> str:
    return {"discard": "discarded", "cancel": "cancelled"}.get(order.plan, "completed")


RULES: dict[str, Callable[[Facts], Findings]] = {
    rule.__name__: rule
    for rule in (
        kept, lost, phantom, spawned, terminal, ending, edges, fenced, booked, concurrency,
        unique, rerun, robbed, waited, alive, fired, timely, unfired, backfilled, delayed,
        overlapping, replaced, crowded, rated, ordered, started, triggered, heeded, undone, single,
        windowed, clashed,
    )
}  # fmt: skip
