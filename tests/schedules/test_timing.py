"""What can be said of when, what is refused, and intervals."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.schedules.timing import EPOCH, Timing

NOW = datetime(2026, 6, 15, 12, 34, 56, tzinfo=UTC)
instants = st.integers(-(2**29), 2**32).map(lambda s: EPOCH + timedelta(seconds=s))


@pytest.mark.parametrize(
    ("said", "cron", "every"),
    [
        ("0 3 * * *", "0 3 * * *", None),
        ("  0   3 * *  mon-fri ", "0 3 * * mon-fri", None),
        ("0 0 L * *", "0 0 L * *", None),
        ("0 0 * * 5#2", "0 0 * * 5#2", None),
        ("@hourly", "0 * * * *", None),
        ("@daily", "0 0 * * *", None),
        ("@midnight", "0 0 * * *", None),
        ("@weekly", "0 0 * * 0", None),
        ("@Monthly", "0 0 1 * *", None),
        ("@yearly", "0 0 1 1 *", None),
        ("@annually", "0 0 1 1 *", None),
        ("@every 5m", None, timedelta(minutes=5)),
        ("@every 1h30m", None, timedelta(minutes=90)),
        ("@every 1d 2h 3m 4.5s", None, timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        (timedelta(seconds=15), None, timedelta(seconds=15)),
        ("every 7 minutes", None, timedelta(minutes=7)),
    ],
)
def test_says_when(said: str | timedelta, cron: str | None, every: timedelta | None) -> None:
    timing = Timing.parse(said)

    assert (timing.cron, timing.every, timing.zone) == (cron, every, "UTC")
    assert timing.explain()
    assert Timing.kept(timing.said, None, None, None, "UTC") == timing


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ("* * * * * *", r"6 fields.*timedelta\(seconds=15\)"),
        ("0 0 * * * * 2026", r"7 fields.*timedelta\(seconds=15\)"),
        ("* * * *", "4 fields"),
        ("15 minutes", "2 fields"),
        ("61 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 30 2 *", "day-of-month"),
        ("0 0 31 2,4,6 *", "day-of-month"),
        ("0 0 31 2 */1", "day-of-month"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("@reboot", "booted"),
        ("@hourli", "none of"),
        ("@daily 5", "none of"),
        ("@every", "1h30m"),
        ("@every 5 parsecs", "1h30m"),
        ("@every 0s", "a second"),
        ("", "missing"),
        ("TZ=UTC 0 0 * * *", "tz=utc"),
        ("0 0 * *\0 *", "control"),
        ("9" * 600, "too long"),
        (timedelta(0), "a second"),
        (timedelta(milliseconds=500), "a second"),
        (-timedelta(days=1), "a second"),
        (timedelta.max, "hundred years"),
        (7, "neither a text nor a timedelta"),
        (None, "neither a text nor a timedelta"),
    ],
)
def test_refuses(said: str, because: str) -> None:
    with pytest.raises(InvalidSchedule, match=because):
        Timing.parse(said)


def test_refuses_what_never_happens() -> None:
    """A second Friday is never the first of a month."""
    with pytest.raises(InvalidSchedule, match="never fires"):
        Timing.parse("0 0 */31 * 5#2")


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlln",
        "Europe",
        "",
        "localtime",
        "../etc/passwd",
        "/etc/localtime",
        "right/UTC",
        "posix/Europe/Berlin",
        "Factory",
        "x" * 500,
        "\0",
    ],
)
def test_refuses_what_is_no_zone(zone: str) -> None:
    with pytest.raises(InvalidSchedule, match="time zone"):
        Timing.parse("@daily", zone=zone)


def test_a_zone_that_is_misspelt_is_guessed() -> None:
    with pytest.raises(InvalidSchedule, match="did you mean 'Europe/Berlin'"):
        Timing.parse("@daily", zone="Europe/Berlln")
    with pytest.raises(InvalidSchedule, match="did you mean 'Europe/Berlin'"):
        Timing.parse("every day in berlin")


def test_takes_a_zone_as_an_object() -> None:
    assert Timing.parse("@daily", zone=ZoneInfo("Asia/Tokyo")).zone == "Asia/Tokyo"
    with pytest.raises(InvalidSchedule, match="by name"):
        Timing.parse("@daily", zone=timezone(timedelta(hours=2)))  # type: ignore[arg-type]


def test_a_zone_is_said_once() -> None:
    assert Timing.parse("every day in Asia/Tokyo", zone="Asia/Tokyo").zone == "Asia/Tokyo"
    with pytest.raises(InvalidSchedule, match="say one of them"):
        Timing.parse("every day in Asia/Tokyo", zone="UTC")


def test_only_an_interval_has_an_anchor() -> None:
    with pytest.raises(InvalidSchedule, match="anchor"):
        Timing.parse("@daily", anchor=NOW)
    with pytest.raises(InvalidSchedule, match="time zone"):
        Timing.parse(timedelta(hours=1), anchor=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("said", ["@daily", "@every 5m"])
def test_refuses_naive_datetimes(said: str) -> None:
    timing, naive = Timing.parse(said), datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(InvalidSchedule, match="time zone"):
        timing.next_after(naive)
    with pytest.raises(InvalidSchedule, match="time zone"):
        timing.latest(naive)
    with pytest.raises(InvalidSchedule, match="time zone"):
        list(timing.instants(naive, NOW))


def test_a_timing_is_a_timing_already() -> None:
    timing = Timing.parse("0 3 * * *")

    assert Timing.parse(timing) is timing
    assert Timing.parse(timing, zone="Asia/Tokyo").zone == "Asia/Tokyo"


def test_is_strictly_after() -> None:
    timing = Timing.parse("34 12 * * *")
    at = datetime(2026, 6, 15, 12, 34, tzinfo=UTC)

    assert timing.next_after(at) == at + timedelta(days=1)
    assert timing.next_after(at - timedelta(microseconds=1)) == at
    assert timing.latest(at) == at
    assert timing.latest(at - timedelta(microseconds=1)) == at - timedelta(days=1)
    assert list(timing.instants(at, at + timedelta(days=1))) == [at]


def test_limits_how_many() -> None:
    assert len(list(Timing.parse("* * * * *").instants(NOW, NOW + timedelta(days=9), 5))) == 5


def test_finds_what_comes_once_in_many_years() -> None:
    """A Sunday that is the 29th of February."""
    timing = Timing.parse("0 0 29 2 */7")

    assert timing.next_after(NOW) == datetime(2032, 2, 29, tzinfo=UTC)
    assert timing.latest(NOW) == datetime(2004, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("said", ["@daily", "* * * * *", "@every 7m"])
def test_the_end_of_time_is_no_instant(said: str) -> None:
    timing = Timing.parse(said, zone="Europe/Berlin" if said == "@daily" else None)

    assert timing.next_after(datetime(9998, 12, 31, tzinfo=UTC)) is None
    assert list(timing.after(datetime(9998, 12, 31, tzinfo=UTC))) == []


every = st.timedeltas(timedelta(seconds=1), timedelta(days=400))


@given(every, st.none() | instants, instants)
def test_an_interval_is_its_anchor_and_multiples(
    every: timedelta, anchor: datetime | None, start: datetime
) -> None:
    timing = Timing.parse(every, anchor=anchor)
    found = list(islice(timing.after(start), 5))

    assert start < found[0] <= start + every
    assert [b - a for a, b in pairwise(found)] == [every] * 4
    assert all((each - (anchor or EPOCH)) % every == timedelta(0) for each in found)
    assert timing.latest(found[2]) == found[2]
    assert timing.latest(start) == found[0] - every


@given(every)
def test_an_interval_can_be_said_again(every: timedelta) -> None:
    timing = Timing.parse(every)

    assert Timing.parse(timing.said) == timing


@given(
    st.text(string.printable + "é²٣", max_size=40) | st.from_regex(r"[0-9*/,LW#MONa-z@ -]{0,30}")
)
@example("0 0 * * ²L")
@example("0 0 * * 1#2/3")
@example("*/99999999999999999999 * * * *")
@example("every ٣ minutes")
@example("every 99999999999999999999999 days")
def test_whatever_is_said_is_understood_or_refused(said: str) -> None:
    try:
        timing = Timing.parse(said)
    except InvalidSchedule:
        return
    found = timing.next_after(NOW)

    assert found is not None
    assert found > NOW
    assert timing.explain()


@given(
    st.tuples(
        st.sampled_from(["0", "*", "*/5", "1,31", "59", "10-20/3"]),
        st.sampled_from(["0", "*", "*/3", "2", "2,3", "23"]),
        st.sampled_from(["*", "1", "31", "L", "*/7"]),
        st.sampled_from(["*", "2", "1,7", "*/5"]),
        st.sampled_from(["*", "1", "1-5", "5L", "2#3", "*/2"]),
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham"]),
    instants,
)
def test_the_latest_is_the_one_before_the_next(
    fields: tuple[str, ...], zone: str, start: datetime
) -> None:
    try:
        timing = Timing.parse(" ".join(fields), zone=zone)
    except InvalidSchedule:
        return
    following = timing.next_after(start)
    assert following is not None
    latest = timing.latest(start)

    assert latest is not None
    assert latest <= start < following
    assert timing.next_after(latest) == following
    assert timing.latest(following) == following
