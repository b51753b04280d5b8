"""What a store forgot is no wrong, and what it had before is."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.checker import check
from tests.faults.facts import Job, Parent
from tests.faults.journal import Line
from tests.faults.lapses import remembered
from tests.faults.test_checker import Story


def a_story() -> Story:
    """An order of before; then, from 10 to 20, a time that the store knows nothing of."""
    story = Story()
    story.order(1)
    story.run(1, 2, 3)
    story.fault("restored", 9, 20, forgot_since=10)
    return story


def broken(story: Story) -> set[str]:
    return {violation.rule for violation in check(remembered(story.facts))}


def test_what_a_schedule_enqueued_while_the_copy_was_made_may_be_forgotten() -> None:
    story = a_story()
    story.lines.append(Line(9.5, "start", "w1", "run9", 300, -9, "async"))
    story.lines.append(Line(9.6, "end", "w1", "run9", 300, -9, "async"))
    assert broken(story) == set()
    story.lines[-2:] = [replace(line, at=line.at - 1) for line in story.lines[-2:]]
    assert broken(story) == {"phantom"}


def test_an_order_that_was_forgotten_is_not_lost() -> None:
    story = a_story()
    story.fates[2] = ("committed", 12)
    story.run(2, 13, 14)
    assert {each.rule for each in check(story.facts)} == {"kept", "phantom"}
    assert broken(story) == set()


def test_an_order_of_before_is_lost() -> None:
    story = a_story()
    story.fates[2] = ("committed", 8)
    assert broken(story) == {"kept"}


def test_an_order_of_afterwards_is_lost() -> None:
    story = a_story()
    story.fates[2] = ("committed", 21)
    assert broken(story) == {"kept"}


def test_a_number_may_be_given_again_to_another_order() -> None:
    story = a_story()
    story.fates[2] = ("committed", 12)
    story.run(2, 13, 14)
    story.order(3, told_at=21, job=102)
    story.run(3, 22, 23)
    story.lines = [replace(line, job=102) if line.key == 3 else line for line in story.lines]
    assert broken(story) == set()


def test_a_job_whose_end_was_forgotten_runs_again() -> None:
    story = a_story()
    story.order(2)
    story.run(2, 13, 14, accepted=False)
    story.run(2, 21, 22, worker="w2")
    story.order(3, parents=(Parent(2, "run"),))
    story.run(3, 15, 16, accepted=False)
    story.run(3, 23, 24)
    assert broken(story) == set()


def test_a_run_that_was_claimed_before_may_end_afterwards() -> None:
    story = a_story()
    story.order(2)
    story.run(2, 10.1, 22)
    assert broken(story) == set()


def test_a_forgotten_run_finishes_nothing_that_runs_elsewhere() -> None:
    story = a_story()
    story.order(2)
    story.run(2, 13, 24, accepted=True)
    story.run(2, 21, 25, worker="w2", accepted=False)
    assert broken(story) == {"fenced"}


def test_a_job_that_nobody_committed_and_that_runs_long_afterwards() -> None:
    story = a_story()
    story.fates[2] = ("committed", 12)
    story.run(2, 40, 41)
    assert broken(story) == {"phantom"}


def test_a_job_that_is_in_the_store_and_was_forgotten_by_its_order() -> None:
    story = a_story()
    story.jobs.append(Job(109, 9, "completed"))
    assert "phantom" in broken(story)
