"""The rules of jobs that edits trigger: a story in which all is well, and what must not pass."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.faults.checker import check
from tests.faults.editor import DOCUMENTS
from tests.faults.facts import FIRST_DOCUMENT, Edit, Facts, Fault, Job, Worker
from tests.faults.journal import Line, What

NAMED = {document.name: document for document in DOCUMENTS}


@dataclass
class Story:
    """Edits, each told a tenth of a second after it was asked for, and runs of their jobs."""

    edits: list[Edit] = field(default_factory=list)
    jobs: dict[int, Job] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)

    def edit(self, number: int, document: str, at: float, outcome: str, job: int) -> None:
        known = NAMED[document]
        times = (at, at + 0.05, at + 0.1)
        edit = Edit(number, document, known.sees, *times, "committed", job, outcome, known.window)
        if outcome == "raised":
            edit = replace(edit, fate="rolled back")
        self.edits.append(edit)

    def change(self, number: int, **values: Any) -> None:
        """Edit *number* is another one."""
        self.edits = [replace(e, **values) if e.number == number else e for e in self.edits]

    def run(self, job: int, start: float, end: float, *had: int, what: What = "end") -> None:
        """A run that ends the job, unless it is *what* says otherwise."""
        about = ("w1", f"run{len(self.lines)}", job)
        self.lines.append(Line(start, "start", *about, FIRST_DOCUMENT, "async"))
        self.lines += [Line(start, "had", *about, number, "async") for number in had]
        self.lines.append(Line(end, what, *about, FIRST_DOCUMENT, "async"))
        state = "completed" if what == "end" else what
        if state in ("completed", "discarded", "cancelled"):
            self.jobs[job] = Job(job, FIRST_DOCUMENT, state, about[1] if what == "end" else None)

    def had(self, job: int, *numbers: int) -> None:
        """The last run of *job* had these edits instead."""
        last = [line for line in self.lines if line.job == job][-1]
        self.lines = [x for x in self.lines if (x.run, x.what) != (last.run, "had")]
        self.lines += [replace(last, what="had", key=number) for number in numbers]

    @property
    def broken(self) -> set[str]:
        """The rules that were broken."""
        facts = Facts(
            [],
            {},
            list(self.jobs.values()),
            sorted(self.lines, key=lambda line: line.at),
            self.faults,
            [Worker("w1", 9, 0.0)],
            edits=self.edits,
            clashes=self.clashes,
        )
        return {violation.rule for violation in check(facts)}


@pytest.fixture
def story() -> Story:
    """An edit of each kind of document, and what comes after it: all is well."""
    story = Story()
    story.edit(1, "returning", 1, "created", 101)
    story.edit(2, "returning", 1.5, "existing", 101)
    story.run(101, 2, 5, 1)
    story.edit(3, "returning", 3, "next", 102)
    story.run(102, 6, 7, 3)
    story.edit(11, "debounced", 1, "created", 111)
    story.run(111, 1.2, 1.3, 11, what="failed")
    story.edit(12, "debounced", 2, "replaced", 111)
    story.run(111, 3, 4, 12)
    story.edit(21, "merged", 1, "created", 121)
    story.edit(22, "merged", 2, "replaced", 121)
    story.run(121, 3, 4, 21, 22, what="discarded")
    story.edit(31, "raising", 1, "created", 131)
    story.edit(32, "raising", 2, "raised", 131)
    story.run(131, 3, 4, 31)
    story.edit(41, "window", 1, "created", 141)
    story.run(141, 1.2, 1.3, 41)
    story.edit(42, "window", 2, "existing", 141)
    story.edit(43, "window", 3.1, "created", 142)
    story.run(142, 4, 5, 43)
    return story


def test_finds_nothing_wrong_when_all_is_well(story: Story) -> None:
    assert story.broken == set()


@pytest.mark.parametrize("number", [2, 12, 22])
def test_a_run_that_began_before_an_edit_was_committed(story: Story, number: int) -> None:
    story.change(number, committing_at=3.5, told_at=3.6)
    assert story.broken == {"heeded"}


def test_an_edit_that_was_refused_for_a_job_that_had_begun(story: Story) -> None:
    story.change(32, asked_at=3.5)
    assert story.broken == {"heeded"}


@pytest.mark.parametrize(
    ("job", "had"),
    [(101, (2,)), (111, (11,)), (121, (21,)), (121, (22,)), (111, ())],
    ids=["not the first", "an older one", "the newer lost", "the older lost", "none"],
)
def test_a_last_run_without_what_it_should_have(
    story: Story, job: int, had: tuple[int, ...]
) -> None:
    story.had(job, *had)
    assert story.broken == {"heeded"}


def test_a_newer_edit_of_which_nobody_knows_whether_it_was_committed(story: Story) -> None:
    story.edit(13, "debounced", 2.5, "unknown", 111)
    story.change(13, fate="unknown", job=None)
    story.had(111, 13)
    assert story.broken == set()


def test_a_job_that_is_gone_and_one_that_nobody_ran(story: Story) -> None:
    del story.jobs[142]
    story.lines = [line for line in story.lines if line.job != 142]
    assert story.broken == {"heeded"}
    story.jobs[142] = Job(142, FIRST_DOCUMENT, "cancelled")
    assert story.broken == {"heeded"}


def test_a_run_with_an_edit_that_was_rolled_back(story: Story) -> None:
    story.edit(23, "merged", 2.5, "replaced", 121)
    story.change(23, fate="rolled back", job=None)
    story.had(121, 21, 22, 23)
    assert story.broken == {"undone"}


def test_a_run_with_the_same_edit_twice(story: Story) -> None:
    story.had(121, 21, 22, 22)
    assert story.broken == {"undone"}


def test_two_jobs_of_a_document_that_run_at_once(story: Story) -> None:
    story.lines = [
        replace(line, at=line.at - 1.5) if line.job == 102 else line for line in story.lines
    ]
    assert story.broken == {"single"}
    story.faults.append(Fault("frozen", 1, 4, frozenset({"w1"})))
    assert story.broken == set()


def test_two_jobs_in_one_window(story: Story) -> None:
    story.change(43, asked_at=2.5, committing_at=2.55, told_at=2.6)
    assert story.broken == {"windowed"}


def test_a_window_that_is_still_closed_when_it_is_over(story: Story) -> None:
    story.change(42, asked_at=3.3, committing_at=3.35, told_at=3.4)
    assert story.broken == {"windowed"}


def test_an_error_that_nothing_explains(story: Story) -> None:
    story.clashes.append("UniqueViolation: job_unique")
    assert story.broken == {"clashed"}
