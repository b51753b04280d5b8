"""Checks of workers, queues, and jobs that do not move, for every store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pgqueue.doctor.findings import Check, Finding, Patient, error, ok, warning
from pgqueue.jobs.job import Job, State
from pgqueue.operations import Operation, inspections
from pgqueue.operations.inspections import Count, Queue, WorkerInfo
from pgqueue.views.bridges import bridges

LONG = timedelta(seconds=60)
FRESH = timedelta(seconds=30)
SILENT = timedelta(seconds=60)
LOOKED_AT = 1_000
WAITING = (State.AVAILABLE, State.SCHEDULED, State.RETRYABLE)
DUE = (State.SCHEDULED, State.RETRYABLE)


class Stuck(NamedTuple):
    """How many jobs will never move by themselves, and the id of one of each kind."""

    orphaned: int
    an_orphan: int | None
    stranded: int
    one_stranded: int | None


def workers(patient: Patient) -> Iterator[Finding]:
    present = patient.ask(inspections.workers())
    by_name: dict[str, list[WorkerInfo]] = defaultdict(list)
    for worker in present:
        by_name[worker.name].append(worker)
    bad = False
    for name, alike in by_name.items():
        if len(alike) > 1:
            bad = True
            ids = ", ".join(str(worker.id) for worker in alike)
            cure = "give each --name, or none: then it is host:pid"
            yield warning("workers", f"workers {ids} are all called {name}", cure)
    for worker in present:
        if worker.suspected_at is not None or _silence(worker) > SILENT:
            bad = True
            said = f"worker {worker.id} ({worker.name}) says nothing, and may be dead"
            yield warning("workers", said, "a leader rescues its jobs; is one there?")
    if quiet := [worker for worker in present if worker.asked == "quiet"]:
        bad = True
        names = ", ".join(worker.name for worker in quiet)
        few = f"{names} claim nothing, as somebody asked them to" if len(quiet) > 1 else ""
        said = few or f"{names} claims nothing, as somebody asked it to"
        yield warning("workers", said, f"`pgqueue workers resume {quiet[0].name}`, when it is over")
    if present and not any(worker.leads for worker in present):
        since = min(worker.started_at for worker in present)
        if datetime.now(UTC) - since > FRESH:
            bad = True
            said = "nobody leads: what is due later does not start, and nobody rescues"
            yield error("workers", said, "see the workers' logs")
    if not bad:
        yield ok("workers", f"{len(present)} present" if present else "none are present")


def _silence(worker: WorkerInfo) -> timedelta:
    return datetime.now(UTC) - worker.heartbeat_at


def queues(patient: Patient) -> Iterator[Finding]:
    counts = patient.ask(inspections.count()).counts
    bad = False
    for queue in patient.ask(inspections.queues()):
        waiting = [c for c in counts if c.queue == queue.name and c.state in WAITING]
        jobs = sum(count.count for count in waiting)
        if not jobs:
            continue
        if queue.paused_at is not None:
            bad = True
            said = f"{queue.name} is paused, and {jobs} jobs wait in it"
            yield warning("queues", said, f"pgqueue queues resume {queue.name}")
        elif not queue.workers:
            bad = True
            level = error if _late(waiting) > LONG else warning
            said = f"no worker serves {queue.name}, and {jobs} jobs wait in it"
            yield level("queues", said, f"python -m pgqueue.worker APP --queues {queue.name}")
    if not bad:
        yield ok("queues", "each that has jobs has workers")


def waiting(patient: Patient) -> Iterator[Finding]:
    """Yield the queues whose jobs wait although a worker could take them."""
    counts = patient.ask(inspections.count()).counts
    present = patient.ask(inspections.workers())
    known = patient.ask(inspections.queues())
    held = {q.name for q in known if q.paused_at is not None or _is_full(q)}
    held |= {each.name for each in bridges(w.info for w in present) if each.is_shut}
    bad = False
    for queue in sorted({count.queue for count in counts}):
        mine = [count for count in counts if count.queue == queue]
        serving = [worker for worker in present if queue in worker.queues]
        late = _oldest(mine, State.AVAILABLE)
        if queue not in held and late > LONG and any(map(_is_free, serving)):
            bad = True
            said = f"a job of {queue} is available since {late}, although workers have free slots"
            cure = f"pgqueue jobs list --queue {queue} --state available; pgqueue why ID"
            yield error("waiting", said, cure)
        due = _oldest(mine, *DUE)
        if due > LONG:
            bad = True
            said = f"a job of {queue} is due since {due}, and nobody makes it available"
            yield error("waiting", said, "only a leader does; see workers")
    if not bad:
        yield ok("waiting", "nothing waits that could run")


def tasks(patient: Patient) -> Iterator[Finding]:
    """Yield tasks that no worker of their queue knows: their jobs are handed back again and
    again."""
    present = patient.ask(inspections.workers())
    known: dict[str, set[str]] = defaultdict(set)
    for worker in present:
        for queue in worker.queues:
            known[queue] |= set(worker.info.get("tasks", ()))
    silent = {q for worker in present if "tasks" not in worker.info for q in worker.queues}
    known = {queue: names for queue, names in known.items() if queue not in silent}
    unknown: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for state in WAITING:
        for job in patient.ask(inspections.list_jobs(state=state, limit=LOOKED_AT)):
            if job.queue in known and job.task not in known[job.queue]:
                unknown[job.queue, job.task].append(job)
    counts = patient.ask(inspections.count()).counts if unknown else []
    for (queue, task), jobs in sorted(unknown.items()):
        late = _late([count for count in counts if count.queue == queue])
        since = max(datetime.now(UTC) - late, min(job.enqueued_at for job in jobs))
        level = error if datetime.now(UTC) - since > LONG else warning
        said = f"no worker of {queue} knows the task {task}, and {len(jobs)} jobs wait for one"
        cure = f"deploy a worker that has {task}; pgqueue why {jobs[-1].id}"
        when = f" since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if late else ""
        yield level("tasks", said + when, cure)
    if not unknown:
        yield ok("tasks", "each job's task is known to a worker of its queue")


def _oldest(counts: Sequence[Count], *states: State) -> timedelta:
    """Return how long the first job in one of *states* has been due."""
    spans = [count.oldest for count in counts if count.state in states]
    return timedelta(seconds=int(max(spans, default=timedelta(0)).total_seconds()))


def _late(counts: Sequence[Count]) -> timedelta:
    """Return how late the first waiting job is, counted from when it was first due."""
    return max((timedelta(0), *(count.late for count in counts if count.state in WAITING)))


def _is_full(queue: Queue) -> bool:
    """May its limits allow no more now? A rate, or a limit on single keys, may be the reason."""
    limits = queue.limits
    if limits is None:
        return False
    bounded = limits.rate or limits.key_rate or limits.key_concurrency or limits.ordered
    full = limits.concurrency is not None and (queue.running or 0) >= limits.concurrency
    return bool(bounded) or full


def _is_free(worker: WorkerInfo) -> bool:
    return worker.asked is None and worker.running < int(worker.info.get("concurrency", 0))


def stuck(patient: Patient) -> Iterator[Finding]:
    params = {"limit": "1000", "now": None}
    found = patient.ask(Operation("doctor/stuck", params, lambda a: Stuck(*a[0][0])))
    cure = "a leader mends this every ten minutes; if it stays, please report it"
    if found.orphaned:
        said = f"{found.orphaned} jobs run on workers that are gone, {found.an_orphan} is one"
        yield error("stuck", said, cure)
    if found.stranded:
        said = f"{found.stranded} jobs wait for parents that have finished, {found.one_stranded}"
        yield error("stuck", f"{said} is one", cure)
    if not found.orphaned and not found.stranded:
        yield ok("stuck", "no job runs without a worker, or waits for what has finished")


WORK = (
    Check("workers", workers),
    Check("queues", queues),
    Check("waiting", waiting),
    Check("tasks", tasks),
    Check("stuck", stuck, file="doctor/stuck"),
)
