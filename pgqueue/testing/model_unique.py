"""The model's unique keys: which job a new one finds, and what follows from that."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from pgqueue.errors import DuplicateJob
from pgqueue.jobs.job import Edge, Handle, Job, NewJob, State
from pgqueue.jobs.unique import Merge, Outcome, Unique
from pgqueue.testing.model_limits import Limited

# Names in `Unique.keep` whose columns are called differently.
COLUMNS = {"timeout": "timeout_seconds", "expires": "expires_at"}


class Keyed(Limited):
    """Keys that unfinished jobs hold, and *recents*, those that hold until an instant."""

    def __init__(self, keep: frozenset[State]) -> None:
        super().__init__(keep)
        self.last = 0
        self.recents: dict[str, tuple[int, datetime]] = {}

    def _all(self) -> tuple[Any, ...]:
        """Return a copy of the state that an error restores."""
        graph = (dict(self.jobs), dict(self.edges), dict(self.workflows))
        return graph, self.last, dict(self.recents), dict(self.permits), dict(self.due)

    def _back_to(self, before: tuple[Any, ...]) -> None:
        graph, self.last, self.recents, self.permits, self.due = before
        self.jobs, self.edges, self.workflows = graph

    def _add(
        self, job: NewJob[Any], workflow: int | None, now: datetime
    ) -> tuple[Handle[Any], tuple[Edge, ...]]:
        """Add *job*; return the job that answers for it, and the one that it also waits for, which
        has its key."""
        if met := self._met(job, now):
            return met, ()
        due = job.run_at or now + (job.delay or timedelta(0))
        ready = State.SCHEDULED if due > now else State.AVAILABLE
        runner = self._runner(job)
        seconds = job.uniqueness and job.uniqueness.seconds
        self.last += 1
        if seconds:
            self.recents[job.unique_key or ""] = (self.last, now + timedelta(seconds=seconds))
        added = Job(
            id=self.last,
            state=State.BLOCKED if job.edges or runner else ready,
            position=next(self._positions),
            attempt=0,
            enqueued_at=now,
            unique_key=None if seconds else job.unique_key,
            workflow=workflow,
            **_columns(job, due),
        )
        self.jobs[added.id] = added
        outcome: Outcome = "next" if runner else "created"
        handle: Handle[Any] = Handle(added.id, job.task, workflow=workflow, outcome=outcome)
        return handle, (Edge(runner, "run"),) if runner else ()

    def _met(self, job: NewJob[Any], now: datetime) -> Handle[Any] | None:
        """Return the job that already has the key of *job*, changed as its rule says; None if there
        is none."""
        rule = job.uniqueness or Unique()
        if rule.seconds:
            id, until = self.recents.get(job.unique_key or "", (0, now))
            return self._existing(id, job) if until > now else None
        holders = self._holders(job.unique_key)
        waiting = [held for held in holders if held.state != State.RUNNING]
        if rule.until == "started" and waiting and rule.replaces:
            self._replace(waiting[-1], job, rule, now)
            return Handle(waiting[-1].id, job.task, created=False, outcome="replaced")
        if rule.until == "started" and waiting:
            return self._existing(waiting[-1].id, job)
        if rule.until == "finished" and holders:
            return self._existing(holders[0].id, job)
        return None

    def _runner(self, job: NewJob[Any]) -> int | None:
        """Return the running job of the same key that *job* waits behind; None if there is none."""
        rule = job.uniqueness
        holders = self._holders(job.unique_key) if rule and rule.until == "started" else []
        return holders[0].id if holders else None

    def _existing(self, id: int, job: NewJob[Any]) -> Handle[Any]:
        if job.uniqueness and job.uniqueness.conflict == "raise":
            raise DuplicateJob(f"{job.task}: unique: job {id} has its key", task=job.task, id=id)
        return Handle(id, job.task, created=False, outcome="existing")

    def _holder(self, key: str | None) -> int | None:
        """Return the first unfinished job that holds *key*."""
        return next((held.id for held in self._holders(key)), None)

    def _holders(self, key: str | None) -> list[Job]:
        """Return the unfinished jobs that hold *key*, the first one first."""
        found = [j for j in self.jobs.values() if j.unique_key == key and not j.finished]
        return [] if key is None else sorted(found, key=lambda held: held.id)

    def _replace(self, held: Job, job: NewJob[Any], rule: Unique, now: datetime) -> None:
        due = job.run_at or now + (job.delay or timedelta(0))
        if rule.at_most is not None:
            due = min(due, held.enqueued_at + timedelta(seconds=rule.at_most))
        if "run_at" in rule.keep:
            due = held.run_at
        changes = _columns(job, due)
        args = changes["args"]
        for name in rule.conflict.arguments if isinstance(rule.conflict, Merge) else ():
            if isinstance(held.args.get(name), list):
                args[name] = held.args[name] + (args.get(name) or [])
        kept = {COLUMNS.get(name, name) for name in rule.keep}
        if "args" in kept:
            kept.add("task")
        changes = {name: value for name, value in changes.items() if name not in kept}
        self.due.pop(held.id, None)
        moved = changes.get("queue", held.queue), changes.get("key", held.key)
        if moved != (held.queue, held.key):
            self.permits.pop(held.id, None)
        later = State.SCHEDULED if changes.get("run_at", held.run_at) > now else State.AVAILABLE
        self._change(
            held,
            **changes,
            state=State.BLOCKED if self.waits(held.id) else later,
            position=next(self._positions),
            attempt=0,
            rescues=0,
            reason=None,
            progress=None,
        )

    def check_key(self, key: str) -> None:
        """Check a key that holds until a job has started.

        At most two of its jobs are unfinished: one runs, and the second waits for it.
        """
        holders = self._holders(key)
        assert len(holders) <= 2, holders
        for second in holders[1:]:
            assert second.state == State.BLOCKED, second
            assert self.edges[second.id, holders[0].id].outcome is None, second


def _columns(job: NewJob[Any], due: datetime) -> dict[str, Any]:
    """Return the columns that *job*, due at that instant, gives its row."""
    return {
        "task": job.task,
        "queue": job.queue,
        "priority": job.priority,
        "args": msgspec.json.decode(job.args),
        "max_attempts": job.max_attempts,
        "run_at": due,
        "timeout_seconds": job.timeout.total_seconds() if job.timeout else None,
        "key": job.key,
        "tags": job.tags,
        "metadata": msgspec.json.decode(job.metadata) if job.metadata else None,
        "expires_at": due + job.expires if isinstance(job.expires, timedelta) else job.expires,
        "keep": job.keep,
    }
