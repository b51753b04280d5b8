"""The rules of jobs that edits of documents trigger, by what a run had of the edits.

An edit that waits for another one's transaction begins to commit when that one has committed. So
the instants at which edits began to commit say which of them is newer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf

from tests.faults.facts import FINISHED, Edit, Facts, Job, Run

SLACK = 0.1  # by which a window may seem longer, between the store's clock and ours
Findings = Iterator[tuple[int | None, str]]


def heeded(facts: Facts) -> Findings:
    """A run begins after each committed edit, and has it, or what its document has instead."""
    for id, edits in _answered(facts).items():
        job = facts.by_id.get(id)
        if job is None:
            yield id, f"job {id} of {edits[-1].document}, edit {edits[-1].number}, is gone"
        elif job.state in FINISHED:
            run = max(facts.finishing(job), key=lambda run: run.started_at, default=None)
            if run is None:
                yield id, f"job {id} of {edits[-1].document} is {job.state}, and no run ended so"
            else:
                yield from _missed(facts, job, run, edits)


def undone(facts: Facts) -> Findings:
    """No run has an edit that was rolled back, nor one of another document, nor one twice."""
    known = {edit.number: edit for edit in facts.edits}
    for id, runs in facts.runs.items():
        for run in runs:
            numbers = facts.had.get(run.name, [])
            for number in numbers:
                edit = known.get(number)
                if edit is None or edit.fate == "rolled back":
                    yield id, f"job {id} ran with edit {number}, which was rolled back"
            if len(set(numbers)) < len(numbers):
                yield id, f"job {id} ran with the edits {numbers}"
            if len({known[n].document for n in numbers if n in known}) > 1:
                yield id, f"job {id} ran with the edits {numbers} of several documents"


def single(facts: Facts) -> Findings:
    """Of a document whose key holds until the start no two jobs run at once."""
    documents = {edit.number: edit.document for edit in facts.edits if edit.window is None}
    spans: dict[str, list[tuple[float, float, int, str]]] = defaultdict(list)
    for id, runs in facts.runs.items():
        for run in runs:
            numbers = facts.had.get(run.name, ())
            if run.ended_at is not None and numbers and numbers[0] in documents:
                spans[documents[numbers[0]]].append((run.started_at, run.ended_at, id, run.worker))
    for name, theirs in spans.items():
        for (started, ended, one, worker), (began, _, two, _) in pairwise(sorted(theirs)):
            if began < ended and one != two and not facts.robbed_by(worker, started, began):
                yield two, f"jobs {one} and {two} of {name} ran at once"


def windowed(facts: Facts) -> Findings:
    """At most one job is made in a window, and it answers as long as the window is open."""
    if not facts.calendar.true:
        return
    made: dict[str, list[Edit]] = defaultdict(list)
    for edit in sorted(facts.edits, key=lambda edit: edit.told_at):
        if edit.window is not None and edit.fate == "committed" and edit.outcome == "created":
            made[edit.document].append(edit)
    for name, edits in made.items():
        for first, second in pairwise(edits):
            passed = second.told_at - first.asked_at
            if first.window is not None and passed < first.window:
                yield (
                    second.job,
                    f"job {second.job} of {name} was made {passed:.3f} s after job {first.job}, "
                    f"the window is {first.window:g} s",
                )
    creators = {edit.job: edit for edits in made.values() for edit in edits}
    for edit in facts.edits:
        creator = creators.get(edit.job)
        if creator is not None and creator.window is not None:
            passed = edit.asked_at - creator.told_at
            if passed > creator.window + SLACK:
                yield (
                    edit.job,
                    f"job {edit.job} of {edit.document} answered {passed:.3f} s after it was made, "
                    f"the window is {creator.window:g} s",
                )


def clashed(facts: Facts) -> Findings:
    """Nobody meets a unique index, or an error that no fault explains."""
    for text in facts.clashes:
        yield None, text


def _answered(facts: Facts) -> dict[int, list[Edit]]:
    """The edits that a job answers for, or has refused, by job, the newest last."""
    answered: dict[int, list[Edit]] = defaultdict(list)
    for edit in sorted(facts.edits, key=lambda edit: (edit.committing_at, edit.number)):
        if edit.job is not None and (edit.fate == "committed" or edit.outcome == "raised"):
            answered[edit.job].append(edit)
    return answered


def _missed(facts: Facts, job: Job, run: Run, edits: list[Edit]) -> Findings:
    """What *run*, the last one of *job*, should have had of *edits*, and had not."""
    for edit in edits:
        since = edit.asked_at if edit.outcome == "raised" else edit.committing_at
        if edit.window is None and run.started_at < since:
            yield (
                job.id,
                f"job {job.id} of {edit.document} answered edit {edit.number} "
                f"({edit.outcome}), and had begun {since - run.started_at:.3f} s before",
            )
    committed = [edit for edit in edits if edit.fate == "committed"]
    had = facts.had.get(run.name, [])
    unknown = {edit.number for edit in facts.edits if edit.fate == "unknown"}
    match edits[0].sees:
        case "all":
            wanted = {edit.number for edit in committed}
            if wanted - set(had):
                yield job.id, f"job {job.id} ran with {had}, and not with {wanted - set(had)}"
        case "newest":
            last = max((edit.committing_at for edit in committed), default=-inf)
            newest = {edit.number for edit in committed if edit.told_at >= last}
            if committed and not set(had) & (newest | unknown):
                yield job.id, f"job {job.id} ran with {had}, and not with {newest}"
        case "first":
            first = {edit.number for edit in committed if edit.outcome in ("created", "next")}
            if first and set(had) != first:
                yield job.id, f"job {job.id} ran with {had}, and not with {first}"
