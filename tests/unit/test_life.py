"""Who is alive: what a worker believes, and what a rescuer counts. Time is given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from pgqueue.operations import Sighting
from pgqueue.worker import life
from pgqueue.worker.life import GRACE_SECONDS, LONGEST_GAP_SECONDS, Grace, Life, Watch


def looks(watch: Watch, at: Iterable[float], beat: str = "1") -> None:
    for now in at:
        watch.saw([Sighting(7, beat, well=True)], now)


def test_who_says_nothing_while_we_look_for_so_long_is_frozen() -> None:
    watch = Watch(60)
    looks(watch, range(100, 160))
    assert watch.frozen == {}

    looks(watch, [160])

    assert watch.frozen == {7: "1"}


def test_whoever_speaks_begins_anew() -> None:
    watch = Watch(60)
    looks(watch, range(59))
    looks(watch, range(59, 119), beat="2")
    assert watch.frozen == {}

    looks(watch, [119], beat="2")

    assert watch.frozen == {7: "2"}


def test_whose_session_is_missing_at_each_look_is_gone() -> None:
    watch = Watch(60)
    watch.saw([Sighting(7, "1", well=False)], 10)
    assert watch.gone(1) == set()
    watch.saw([Sighting(7, "1", well=True)], 11)
    watch.saw([Sighting(7, "1", well=False)], 12)
    assert watch.gone(1) == set()

    watch.saw([Sighting(7, "1", well=False)], 13)

    assert watch.gone(1) == {7}


def test_an_hour_in_which_we_did_not_look_counts_as_a_moment() -> None:
    """The machine was suspended, or we were stopped, or the loop was blocked."""
    watch = Watch(60)
    looks(watch, [0, 1, 3600])

    looks(watch, [3600 + n for n in range(1, int(60 - 1 - LONGEST_GAP_SECONDS))])

    assert watch.frozen == {}


def test_who_could_not_speak_has_as_long_as_everybody() -> None:
    watch = Watch(60)
    looks(watch, range(61))
    watch.spared(watch.frozen)
    looks(watch, range(61, 121))
    assert watch.frozen == {}

    looks(watch, [121])

    assert watch.frozen == {7: "1"}


def test_who_left_and_is_seen_again_is_new() -> None:
    watch = Watch(60)
    looks(watch, range(60))
    watch.saw([], 60)
    looks(watch, [61, 62])

    assert watch.frozen == {}


# After a loss of the rescuer's own session

THERE, AWAY = Sighting(7, "1", well=True), Sighting(7, "1", well=False, back=False)
SPOKE_AND_DIED = Sighting(7, "2", well=False, back=True)


def after_a_loss(*, restarted: bool) -> Grace:
    grace = Grace(0)
    grace.begins(100, restarted=restarted)
    return grace


@pytest.mark.parametrize("restarted", [False, True])
def test_who_has_not_been_back_is_spared_and_not_for_ever(restarted: bool) -> None:
    grace = after_a_loss(restarted=restarted)

    assert grace.saw([AWAY], 100 + GRACE_SECONDS - 0.1) == {7}
    assert grace.saw([AWAY], 100 + GRACE_SECONDS) == set()


@pytest.mark.parametrize("restarted", [False, True])
def test_who_was_seen_with_its_session_is_spared_no_more(restarted: bool) -> None:
    grace = after_a_loss(restarted=restarted)
    assert grace.saw([THERE], 100) == set()

    assert grace.saw([AWAY], 101) == set()


def test_another_loss_counts_anew() -> None:
    grace = after_a_loss(restarted=False)
    grace.saw([THERE], 100)
    grace.begins(101, restarted=False)

    assert grace.saw([AWAY], 102) == {7}


def test_who_has_spoken_since_the_server_is_new_was_back_although_we_have_not_seen_it() -> None:
    assert after_a_loss(restarted=True).saw([SPOKE_AND_DIED], 100) == set()


def test_where_the_server_is_the_same_that_may_have_been_before_the_loss() -> None:
    assert after_a_loss(restarted=False).saw([SPOKE_AND_DIED], 100) == {7}


def test_a_new_process_spares_those_who_have_not_found_the_server_yet() -> None:
    grace = Grace(100)

    assert grace.saw([AWAY, SPOKE_AND_DIED._replace(worker=8)], 101) == {7}


def test_who_left_and_comes_again_is_not_known_any_more() -> None:
    grace = after_a_loss(restarted=False)
    grace.saw([THERE], 100)
    grace.saw([], 101)

    assert grace.saw([AWAY], 102) == {7}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr(life, "monotonic", lambda: clock[0])
    return clock


async def test_a_worker_believes_that_it_lives_from_before_it_asked(clock: list[float]) -> None:
    own = Life(60)
    assert not own.certain
    own.heard(clock[0] - 5)
    clock[0] += 54.9
    assert own.certain

    clock[0] += 0.1

    assert not own.certain


async def test_a_worker_without_its_session_believes_nothing_until_it_is_heard(
    clock: list[float],
) -> None:
    own = Life(60)
    own.heard(clock[0])
    own.doubt()
    assert not own.certain

    own.heard(clock[0])

    assert own.certain


async def test_who_waits_for_certainty_is_told_when_it_may_be_back(clock: list[float]) -> None:
    own = Life(60)
    told: list[bool] = []
    own.regained = lambda: told.append(own.certain)

    own.heard(clock[0])

    assert told == [True]


async def test_who_may_be_taken_for_dead_for_a_while_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(life, "HELPLESS_SECONDS", 0.0)
    own, told = Life(0.01), asyncio.Event()
    own.lapsed = told.set

    own.heard(life.monotonic())
    await told.wait()
    told.clear()
    own.heard(life.monotonic() + 60)
    own.doubt()
    await told.wait()

    assert not own.certain
