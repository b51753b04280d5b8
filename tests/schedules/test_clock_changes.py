"""Cron texts around changes of clocks, against a scan of the minutes.

By default of one change of each kind; `-m slow` looks at each change of every zone.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from pgqueue.jobs.schedules.timing import Timing
from tests.schedules.oracle import Change, changes, scan, zones

FIRST_YEAR, YEARS = 2025, 3
HOUR = timedelta(hours=1)
SEED = random.randrange(10**6)


def every_change() -> list[tuple[str, Change]]:
    return [(zone, each) for zone in zones() for each in changes(zone, FIRST_YEAR, YEARS)]


def distinct_changes() -> list[tuple[str, Change]]:
    """One zone for each change that several make together."""
    return [(zone, each) for each, zone in {each: zone for zone, each in every_change()}.items()]


def kinds_of_changes() -> list[tuple[str, Change]]:
    """One change for each length and local time that there is."""
    kinds = {
        (each.after - each.before, (each.at + each.before).time()): (zone, each)
        for zone, each in distinct_changes()
    }
    return list(kinds.values())


def assert_as_scanned(
    changes: Iterable[tuple[str, Change]], rng: random.Random, texts: int = 9
) -> None:
    """So many texts about each of *changes* fire as the minutes say."""
    for zone, change in changes:
        since, until = change.at - rng.choice([2, 3, 12]) * HOUR, change.at + 3 * HOUR
        for text in rng.sample(list(texts_about(change, zone, rng)), texts):
            found = list(Timing.parse(text, zone=zone).instants(since, until))

            assert found == list(scan(text, zone, since, until)), (SEED, zone, text, change)


def texts_about(change: Change, zone: str, rng: random.Random) -> Iterator[str]:
    """Cron texts that fire in the hours around *change*."""
    local = change.at.astimezone(ZoneInfo(zone))

    def minute() -> int:
        return rng.choice([0, 1, 15, 29, 30, 31, 45, 59, rng.randrange(60)])

    def hour() -> int:
        return (local.hour + rng.randint(-2, 2)) % 24

    low = rng.randint(0, 40)
    yield f"{minute()},{minute()} {hour()},{hour()} * * *"
    yield f"{low}-{low + rng.randint(1, 19)}/{rng.randint(1, 4)} {min(hour(), 20)}-23 * * *"
    yield f"{minute()} {hour()} {local.day} * {rng.randint(0, 6)}"
    yield f"{minute()} */{rng.choice([1, 2, 3, 5])} * * *"
    yield f"{minute()} * {local.day} * *"
    yield f"*/{rng.choice([7, 15, 20, 30])} {hour()} * {local.month} *"
    yield f"*/13 */2 {local.day} * *"
    yield f"*/9 {hour()} {local.day} * *"
    yield f"*/10 1-5 {local.day} * *"


def test_there_are_zones_and_changes_to_look_at() -> None:
    assert len(zones()) > 550
    assert len(distinct_changes()) > 100
    assert {each.after - each.before for _, each in distinct_changes()} >= {
        HOUR,
        -HOUR,
        HOUR / 2,
        -HOUR / 2,
    }


def test_fires_as_a_scan_of_the_minutes_says() -> None:
    assert len(kinds_of_changes()) > 10
    assert_as_scanned(kinds_of_changes(), random.Random(SEED))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_", range(10))
def test_fires_as_a_scan_says_at_each_change(round_: int) -> None:
    assert_as_scanned(distinct_changes(), random.Random(SEED + round_))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_fires_alike_in_every_zone_that_changes() -> None:
    assert_as_scanned(every_change(), random.Random(SEED))


def test_from_any_start_the_next_and_the_latest_are_those_of_one_long_walk() -> None:
    assert_as_walked(kinds_of_changes(), random.Random(SEED))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_", range(10))
def test_from_any_start_of_each_change(round_: int) -> None:
    assert_as_walked(distinct_changes(), random.Random(SEED + round_))


def assert_as_walked(changes: Iterable[tuple[str, Change]], rng: random.Random) -> None:
    """Also from starts inside a fold, where local time goes back."""
    for zone, change in changes:
        for text in rng.sample(list(texts_about(change, zone, rng)), 2):
            timing = Timing.parse(text, zone=zone)
            walk = list(timing.instants(change.at - 26 * HOUR, change.at + 26 * HOUR))
            for _ in range(3):
                start = change.at + timedelta(seconds=rng.uniform(-7200, 7200))
                later = [each for each in walk if each > start]
                earlier = [each for each in walk if each <= start]

                where = (SEED, zone, text, start)
                if later:
                    assert timing.next_after(start) == later[0], where
                    assert list(islice(timing.after(start), len(later))) == later, where
                if earlier:
                    assert timing.latest(start) == earlier[-1], where


def berlin(text: str) -> Timing:
    return Timing.parse(text, zone="Europe/Berlin")


SPRING = datetime(2026, 3, 29, tzinfo=UTC)  # at 01:00 UTC, 02:00 becomes 03:00
AUTUMN = datetime(2026, 10, 25, tzinfo=UTC)  # at 01:00 UTC, 03:00 becomes 02:00


def of_the_night(text: str, day: datetime) -> list[str]:
    """The instants from midnight to five in the morning of Berlin, in UTC."""
    found = berlin(text).instants(day - 2 * HOUR, day + 4 * HOUR)
    return [f"{each:%H:%M}" for each in found]


@pytest.mark.parametrize(
    ("text", "spring", "autumn"),
    [
        ("30 2 * * *", ["01:00"], ["00:30"]),
        ("15,30,45 2 * * *", ["01:00"], ["00:15", "00:30", "00:45"]),
        ("0 2,3 * * *", ["01:00"], ["00:00", "02:00"]),
        ("30 1 * * *", ["00:30"], ["23:30"]),
        ("0 */2 * * *", ["23:00", "02:00"], ["22:00", "00:00", "01:00", "03:00"]),
        ("30 * * * *", ["22:30", "23:30", "00:30", "01:30", "02:30", "03:30"], None),
    ],
)
def test_the_nights_of_berlin(text: str, spring: list[str], autumn: list[str] | None) -> None:
    assert of_the_night(text, SPRING) == spring
    if autumn is not None:
        assert of_the_night(text, AUTUMN) == autumn


def test_an_interval_takes_no_notice_of_clocks() -> None:
    timing = Timing.parse(timedelta(hours=1), zone="Europe/Berlin")
    for day in (SPRING, AUTUMN):
        found = list(timing.instants(day - 12 * HOUR, day + 12 * HOUR))

        assert found == [day + n * HOUR for n in range(-12, 12)]
