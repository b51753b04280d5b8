"""A schedule fires while its previous job is unfinished; somebody runs a schedule by hand."""

from __future__ import annotations

from typing import Any

from pgqueue import operations
from pgqueue.testing.conformance.schedules import (
    HOUR,
    MINUTE,
    a_row,
    add,
    in_hands,
    outcomes,
    scheduled,
)
from pgqueue.testing.conformance.store import NOON, Store


def overlapping(store: Store, overlap: str, minutes: int, **columns: Any) -> list[int]:
    """Fire as many instants, one after the other, while the first one's job runs; return the
    jobs."""
    add(store, a_row(overlap=overlap, **columns))
    jobs = []
    for n in range(minutes):
        store.passes(minutes=1)
        [became] = store.fire().became
        jobs.append(became.job or 0)
        if n == 0:
            assert store.take().id == jobs[0]
    return jobs


def test_skip_leaves_out_an_instant_while_the_job_before_is_unfinished(store: Store) -> None:
    jobs = overlapping(store, "skip", 3)
    assert jobs == [jobs[0]] * 3
    assert [outcome for _, outcome, _ in outcomes(store)] == ["fired", "skipped", "skipped"]
    store.free(jobs[0])
    store.complete(store.take())
    store.passes(minutes=1)

    [became] = store.fire().became

    assert (became.outcome, became.job not in jobs) == ("fired", True)


def test_a_job_that_will_be_tried_again_is_unfinished(store: Store) -> None:
    add(store, a_row())
    store.passes(minutes=1)
    store.fire()
    store.fail(store.take(), retry_in=HOUR)
    store.passes(minutes=1)

    assert [each.outcome for each in store.fire().became] == ["skipped"]


def test_next_lets_one_more_wait_behind(store: Store) -> None:
    jobs = overlapping(store, "next", 4)
    first, second = jobs[:2]
    assert jobs == [first, second, second, second]
    assert [outcome for _, outcome, _ in outcomes(store)] == [
        "fired",
        "fired",
        "skipped",
        "skipped",
    ]
    assert store.states(first, second) == ["running", "blocked"]

    store.fail(in_hands(store, first), verdict="discard")
    assert store.take().id == second
    store.passes(minutes=1)
    [became] = store.fire().became

    assert (became.outcome, store.state(became.job or 0)) == ("fired", "blocked")
    assert store.outcomes(became.job or 0) == {(became.job, second): None}


def test_next_waits_for_nobody_when_all_has_ended(store: Store) -> None:
    add(store, a_row(overlap="next"))
    for _ in range(3):
        store.passes(minutes=1)
        [became] = store.fire().became
        assert store.take().id == became.job
        store.complete(in_hands(store, became.job or 0))


def test_allow_lets_jobs_run_beside_each_other(store: Store) -> None:
    jobs = overlapping(store, "allow", 3)

    assert len(set(jobs)) == 3
    assert store.states(*jobs) == ["running", "available", "available"]


def test_replace_cancels_the_older_one(store: Store) -> None:
    first, second, third = overlapping(store, "replace", 3)

    assert store.states(first, second, third) == ["running", "cancelled", "blocked"]
    assert store.job(first).cancel_requested
    assert [outcome for _, outcome, _ in outcomes(store)] == ["fired"] * 3
    store.fail(in_hands(store, first), verdict="cancel")
    assert store.take().id == third


def test_replace_takes_the_place_of_one_that_waits(store: Store) -> None:
    add(store, a_row(overlap="replace"))
    jobs = []
    for _ in range(3):
        store.passes(minutes=1)
        jobs += [each.job or 0 for each in store.fire().became]

    assert store.states(*jobs) == ["cancelled", "cancelled", "available"]


def test_of_many_instants_at_once_the_last_replaces_and_one_waits(store: Store) -> None:
    add(
        store, a_row("r", missed="all", overlap="replace"), a_row("n", missed="all", overlap="next")
    )
    store.passes(minutes=4)

    store.fire()

    assert [outcome for _, outcome, _ in outcomes(store, "r")] == ["skipped"] * 3 + ["fired"]
    assert len({job for _, _, job in outcomes(store, "r")}) == 1
    assert [outcome for _, outcome, _ in outcomes(store, "n")] == ["fired"] * 2 + ["skipped"] * 2
    assert len({job for _, _, job in outcomes(store, "n")}) == 2
    assert len(store.listing()) == 3


def test_run_now_moves_nothing_and_works_while_paused(store: Store) -> None:
    add(store, a_row(paused_at=NOON))
    row = store.one_schedule("s")
    store.passes(seconds=7)

    [became] = store.carry(operations.run(row, now=store.now)).became
    store.passes(seconds=1)
    [again] = store.carry(operations.run(row, now=store.now)).became
    store.passes(seconds=1)
    [forced] = store.carry(operations.run(row, force=True, now=store.now)).became

    assert [each.outcome for each in (became, again, forced)] == ["manual", "skipped", "manual"]
    assert again.job == became.job != forced.job
    assert store.one_schedule("s") == row
    assert scheduled(store, became.job)["manual"] is True


def test_run_at_an_instant_that_has_fired_makes_no_second_job(store: Store) -> None:
    add(store, a_row(overlap="allow"))
    store.passes(minutes=1)
    store.fire()

    told = store.carry(operations.run(store.one_schedule("s"), now=store.now))

    assert told.became == []
    assert len(store.listing()) == 1


def test_a_backfill_can_be_repeated(store: Store) -> None:
    add(store, a_row())
    row = store.one_schedule("s")
    store.passes(minutes=1)
    store.fire()
    instants = [NOON + n * MINUTE for n in range(4)]

    first = store.carry(operations.backfill(row, instants[:3], now=store.now))
    second = store.carry(operations.backfill(row, instants, now=store.now))

    assert [each.instant for each in first.became] == [instants[0], instants[2]]
    assert [each.instant for each in second.became] == [instants[3]]
    assert len(store.listing()) == 4
    assert store.one_schedule("s").next_at == NOON + 2 * MINUTE
