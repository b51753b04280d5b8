"""What is done to jobs: those that are named, or all that a filter means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.actions.asked import Action, Asked, Done
from pgqueue.jobs import checks
from pgqueue.jobs.job import Job
from pgqueue.operations import Plan, acting, inspections
from pgqueue.operations.acting import Act

MOST: Final = 500
"""So many jobs can be named at once; more are meant by a filter."""


def act_of(verb: str, asked: Asked) -> Act:
    """Return what *verb* does to jobs, as the form says. Raises ValueError, InvalidJob."""
    keep = asked.app.retention.archived_states()
    match verb:
        case "retry":
            return acting.retrying(keep=keep)
        case "cancel":
            return acting.cancelling(f"by {asked.access.user}, in the dashboard", keep=keep)
        case "release":
            return acting.releasing(keep=keep)
        case "move":
            queue = checks.name("move", "queue", asked.form.text("to"))
            if not asked.access.sees(queue):
                raise ValueError(f"{queue}: you do not see this queue")
            return acting.moving(queue)
        case "reprioritise":
            priority = asked.form.integer("priority")
            if priority is None:
                raise ValueError("priority: give a whole number; smaller ones run first")
            return acting.moving(priority=priority)
        case _:
            raise ValueError(f"{verb}: nothing that is done to jobs")


def said(verb: str, answers: Iterable[str]) -> str:
    """Return what became of jobs, in words."""
    counts = Counter(answers)
    running = counts.pop("running", 0)
    held = counts.pop("held", 0)
    done = counts.total()
    words = f"{jobs(done)} {_SAID[verb]}"
    if verb == "cancel" and running:
        words += f", {running:,} asked to stop"
    elif running:
        words += f"; {jobs(running)} already running"
    return words + (f"; {jobs(held)} held up by another of the same unique key" if held else "")


def jobs(count: int) -> str:
    """``1 job``, ``2,000 jobs``."""
    return "1 job" if count == 1 else f"{count:,} jobs"


def _do(verb: str, asked: Asked) -> Plan[Done]:
    act = act_of(verb, asked)
    named = asked.form.all("id")
    ids = yield from _ids(asked.access, named)
    answers: dict[int, str] = {}
    if ids:
        done = yield from acting.portion_of(act, ids)
        answers = {id: answer for id, answer in done.answers.items() if id in ids}
    others = len(named) - len(answers)
    words = said(verb, answers.values())
    if others:
        words += f"; {jobs(others)} could not be: finished meanwhile, or not there any more"
    return Done(words)


def _ids(access: Access, named: Sequence[str]) -> Plan[list[int]]:
    """The ids of jobs in queues that the viewer sees."""
    if not named or len(named) > MOST:
        raise ValueError(f"choose between one and {MOST} jobs")
    ids = [int(text) for text in named if text.isdecimal() and len(text) < 19]
    found: dict[int, Job] = yield inspections.get(ids)
    return [id for id, job in found.items() if access.sees(job.queue)]


_SAID: Final[Mapping[str, str]] = {
    "retry": "will run again",
    "cancel": "cancelled",
    "release": "taken from their workers",
    "move": "moved",
    "reprioritise": "given another priority",
}
JOB_ACTIONS: Final[Mapping[str, Action]] = {verb: partial(_do, verb) for verb in _SAID}
