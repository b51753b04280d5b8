"""Why a job is not running, or what became of it, in one sentence.

    sentence(app.execute(inspections.why(9)))
    # job 9 (report) waits on jobs 7 and 8; 8 (resize) is running on web1:311 since 12 s

The store is asked once; everything here makes plain text of its answer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgqueue.jobs.job import Job, State
from pgqueue.jobs.schedules.firings import overlap_key
from pgqueue.operations import Bounds
from pgqueue.operations.inspections import Situation, WaitedFor
from pgqueue.views.bridges import bridges

LATE = timedelta(seconds=2)
_KEY = overlap_key("")


def sentence(situation: Situation) -> str:
    """Return *situation* as one sentence, whatever state the job is in."""
    job, now = situation.job, situation.now
    match job.state:
        case State.BLOCKED:
            said = _besides(_blocked(situation), _hopeless(situation))
        case State.SCHEDULED:
            said = f"is scheduled for {_instant(job.run_at)}" + _due(situation)
            said = _besides(said, _hopeless(situation))
        case State.AVAILABLE:
            said = _available(situation)
        case State.RUNNING:
            said = _running(situation)
        case State.RETRYABLE:
            said = f"failed{_last_error(job)} and is tried again at {_instant(job.run_at)}"
            said += f", attempt {job.attempt + 1} of {job.max_attempts}" + _due(situation)
            said = _besides(said, _hopeless(situation))
        case State.COMPLETED:
            said = "completed" + _ended(job, now)
        case State.CANCELLED:
            said = "was cancelled" + _ended(job, now) + (f": {job.reason}" if job.reason else "")
            if job.cause is not None:
                said += f"; retrying job {job.cause} brings it back"
        case _:
            said = "was discarded" + _ended(job, now) + (f": {job.reason}" if job.reason else "")
            said += f", after {job.attempt} of {job.max_attempts} attempts"
    if job.expires_at is not None and job.state != State.RUNNING:
        said += f"; it expires {_relative(job.expires_at, now)}, at {_instant(job.expires_at)}"
    return f"job {job.id} ({job.task}){_fired_by(job)} {said}"


def _fired_by(job: Job) -> str:
    """Return which schedule has made *job*; empty if none has. A schedule's jobs share a unique
    key, which names it."""
    key = job.unique_key or ""
    if not key.startswith(_KEY):
        return ""
    return f" of schedule {key.removeprefix(_KEY).partition(' ')[0]}"


def _blocked(situation: Situation) -> str:
    job, parents = situation.job, situation.parents
    names = [str(parent.id) for parent in parents]
    more = job.blocked_by - len(parents)
    if more > 0 and not names:
        return f"waits on {more} {'job' if more == 1 else 'jobs'}"
    if more > 0:
        names.append(f"{more} more")
    said = f"waits on {'job' if len(names) == 1 else 'jobs'} {_listed(names)}"
    for parent in parents:
        if parent.same_key and len(names) == 1 and parent.state == State.RUNNING:
            said = f"waits behind job {parent.id}, which runs and has the same unique key"
        elif parent.same_key:
            said += f"; {parent.id} has the same unique key"
    if parents:
        said += f"; {_doing(parents[0], situation.now)}"
    return said


def _doing(parent: WaitedFor, now: datetime) -> str:
    said = f"{parent.id} ({parent.task}) is {parent.state}"
    if parent.state == State.RUNNING and parent.claimed_at is not None:
        where = f" on {parent.worker}" if parent.worker else ""
        return f"{said}{where} since {_span(now - parent.claimed_at)}"
    if parent.state in (State.SCHEDULED, State.RETRYABLE):
        return f"{said}, due {_relative(parent.run_at, now)}"
    return said


def _available(situation: Situation) -> str:
    job, workers = situation.job, situation.workers
    if situation.paused_at is not None:
        since = _span(situation.now - situation.paused_at)
        return f"is available, but queue {job.queue} is paused since {since}"
    if hopeless := _hopeless(situation):
        return f"is available{hopeless}"
    if held_up := _held_up(situation):
        return held_up
    ahead = f"{situation.ahead}{'+' if situation.ahead >= 1_000 else ''}"
    ahead += " jobs are ahead of it" if situation.ahead > 1 else " job is ahead of it"
    slots = sum(int(worker.info.get("concurrency", 0)) for worker in workers)
    running = sum(worker.running for worker in workers)
    who = _workers(len(workers), job.queue)
    busy = None
    if slots and running >= slots:
        busy = f"is available, but all {slots} slots of {who} are taken"
    elif all(job.queue in worker.info.get("full", ()) for worker in workers):
        each = "runs" if len(workers) == 1 else "run"
        busy = f"is available, but {who} {each} as many of its jobs as may run at once"
    if busy:
        return f"{busy}; {ahead}" if situation.ahead else busy
    if situation.ahead:
        return f"is available; {ahead} in queue {job.queue}"
    return f"is available and the next one of queue {job.queue}; a worker takes it any moment"


def _held_up(situation: Situation) -> str | None:
    """Return which limit of its queue keeps the job from starting; None if none does."""
    bounds, job = situation.bounds, situation.job
    if bounds is None:
        return None
    most = bounds.limits.get("concurrency")
    whole = f"waits for the limit of queue {job.queue}"
    if most is not None and bounds.running >= most:
        return f"{whole}: {bounds.running} of {most} run"
    if bounds.free_at is not None:
        count, seconds = bounds.limits["rate"]
        began = f"{count} have started within {seconds:g} s"
        return f"{whole}: {began}, the next may {_relative(bounds.free_at, situation.now)}"
    turn = _waits_its_turn(bounds, job, situation.now)
    return None if turn is None else f"waits its turn: {turn}"


def _waits_its_turn(bounds: Bounds, job: Job, now: datetime) -> str | None:
    key = f"key {_short(job.key)}" if job.key else "the jobs without a key"
    if bounds.holder not in (None, job.id):
        return f"{key} waits for job {bounds.holder}, which is {bounds.holder_state}"
    most = bounds.own.get("concurrency", bounds.limits.get("key_concurrency"))
    if job.key and most is not None and bounds.key_running >= most:
        return f"{bounds.key_running} of {most} jobs of {key} run"
    if bounds.key_free_at is not None:
        return f"{key} may start again {_relative(bounds.key_free_at, now)}"
    return None


def _hopeless(situation: Situation) -> str:
    """Return why nobody would take the job, even once its time has come; empty if somebody
    would."""
    job, workers = situation.job, situation.workers
    if not workers:
        return f", but no live worker serves queue {job.queue}"
    known = [worker.info.get("tasks") for worker in workers]
    if all(tasks is not None and job.task not in tasks for tasks in known):
        who = "the worker" if len(workers) == 1 else f"none of the {len(workers)} workers"
        knows = "does not know" if len(workers) == 1 else "knows"
        return f", but {who} of queue {job.queue} {knows} the task {job.task}"
    return _shut_out(situation)


def _shut_out(situation: Situation) -> str:
    """Return why an outlet's message is not sent: no worker reaches the broker. Empty if one
    does."""
    job, now = situation.job, situation.now
    for bridge in bridges(worker.info for worker in situation.workers):
        if (bridge.kind, bridge.name) == ("outlet", job.queue) and bridge.is_shut:
            since = "" if bridge.away_since is None else f" since {_span(now - bridge.away_since)}"
            said = f", but the gate of outlet {job.queue} is shut{since}: {bridge.why}"
            if bridge.next_look_at is None:
                return said
            if bridge.next_look_at <= now:
                return f"{said}; the next look is due any moment"
            return f"{said}; the next look is {_relative(bridge.next_look_at, now)}"
    return ""


def _besides(said: str, hopeless: str) -> str:
    """Return both as one sentence; *hopeless* begins with "besides" if *said* names an obstacle
    already."""
    if said.startswith(("waits on ", "waits behind ")) or ", but" in said:
        hopeless = hopeless.replace(", but", "; besides,")
    return said + hopeless


def _running(situation: Situation) -> str:
    job, now, worker = situation.job, situation.now, situation.worker
    since = "" if job.claimed_at is None else f" since {_span(now - job.claimed_at)}"
    if worker is None:
        return f"was running{since} on worker {job.worker}, which is gone; it will be rescued"
    said = f"is running on {worker['name']}{since}, attempt {job.attempt} of {job.max_attempts}"
    if worker.get("suspected_at"):
        said += "; that worker has lost its session and may be dead"
    if job.cancel_requested:
        said += "; it was asked to stop"
    return said


def _due(situation: Situation) -> str:
    late = situation.now - situation.job.run_at
    if late < LATE:
        return f" (in {_span(-late)})"
    overdue = f" ({_span(late)} ago)"
    return overdue if situation.led else f"{overdue}, but no worker leads, so nobody wakes it"


def _last_error(job: Job) -> str:
    return f" ({job.errors[-1].type}: {_short(job.errors[-1].message)})" if job.errors else ""


def _ended(job: Job, now: datetime) -> str:
    return "" if job.finished_at is None else f" {_span(now - job.finished_at)} ago"


def _workers(count: int, queue: str) -> str:
    return f"the worker of queue {queue}" if count == 1 else f"the {count} workers of queue {queue}"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "nobody"


def _relative(instant: datetime, now: datetime) -> str:
    return f"in {_span(instant - now)}" if instant > now else f"{_span(now - instant)} ago"


def _instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S %Z}"


def _span(duration: timedelta) -> str:
    seconds = max(0.0, duration.total_seconds())
    for unit, length, limit in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < limit * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 80 else f"{line[:79]}…"
