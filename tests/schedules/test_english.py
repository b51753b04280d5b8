"""Two hundred phrases: half are understood, of the others the word that was not is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgqueue.errors import InvalidSchedule
from pgqueue.jobs.schedules.timing import Timing

UNDERSTOOD = {
    "every minute": "* * * * *",
    "every 1 minute": "* * * * *",
    "every 2 minutes": "*/2 * * * *",
    "every 5 minutes": "*/5 * * * *",
    "each 5 minutes": "*/5 * * * *",
    "every 10 min": "*/10 * * * *",
    "every 15 mins": "*/15 * * * *",
    "every 30 minutes": "*/30 * * * *",
    "every 60 minutes": "0 * * * *",
    "Every 20 Minutes": "*/20 * * * *",
    "  every   12  minutes ": "*/12 * * * *",
    "every hour": "0 * * * *",
    "every 1 hour": "0 * * * *",
    "every 2 hours": "0 */2 * * *",
    "every 3 hrs": "0 */3 * * *",
    "every 4 hr": "0 */4 * * *",
    "every 6 hours": "0 */6 * * *",
    "every 8 hours": "0 */8 * * *",
    "every 12 hours": "0 */12 * * *",
    "every 24 hours": "0 0 * * *",
    "hourly": "0 * * * *",
    "every day": "0 0 * * *",
    "every 1 day": "0 0 * * *",
    "daily": "0 0 * * *",
    "each day": "0 0 * * *",
    "every week": "0 0 * * 0",
    "weekly": "0 0 * * 0",
    "every month": "0 0 1 * *",
    "monthly": "0 0 1 * *",
    "every year": "0 0 1 1 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
    "every day at noon": "0 12 * * *",
    "every day at midnight": "0 0 * * *",
    "daily at 9:00": "0 9 * * *",
    "daily at 09:00": "0 9 * * *",
    "daily at 9am": "0 9 * * *",
    "daily at 9 am": "0 9 * * *",
    "daily at 9:30 AM": "30 9 * * *",
    "every day at 9:00 am": "0 9 * * *",
    "daily at 12am": "0 0 * * *",
    "daily at 12pm": "0 12 * * *",
    "daily at 12:30 am": "30 0 * * *",
    "daily at 5:30 pm": "30 17 * * *",
    "daily at 11:59pm": "59 23 * * *",
    "daily at 23:59": "59 23 * * *",
    "daily at 0:00": "0 0 * * *",
    "every day at 9:00 and 17:00": "0 9,17 * * *",
    "every day at 9:00, 17:00": "0 9,17 * * *",
    "every day at 9am, noon, and 5pm": "0 9,12,17 * * *",
    "every day at 17:00, 9:00": "0 9,17 * * *",
    "every day at noon and midnight": "0 0,12 * * *",
    "every 24 hours at 3:00": "0 3 * * *",
    "every weekday": "0 0 * * 1-5",
    "weekdays": "0 0 * * 1-5",
    "every weekday at 9:00": "0 9 * * 1-5",
    "weekdays at 9am": "0 9 * * 1-5",
    "each weekday at 8:15": "15 8 * * 1-5",
    "every weekend": "0 0 * * 0,6",
    "weekends at 10am": "0 10 * * 0,6",
    "every weekend at noon": "0 12 * * 0,6",
    "every monday": "0 0 * * 1",
    "every Tuesday": "0 0 * * 2",
    "every wed": "0 0 * * 3",
    "every thursday at 18:30": "30 18 * * 4",
    "every fri at 5pm": "0 17 * * 5",
    "every saturday": "0 0 * * 6",
    "every sunday at 7:45": "45 7 * * 0",
    "sundays": "0 0 * * 0",
    "mondays at 9:00": "0 9 * * 1",
    "every monday, wednesday": "0 0 * * 1,3",
    "every monday and thursday": "0 0 * * 1,4",
    "every monday, wednesday and friday": "0 0 * * 1,3,5",
    "every monday, wednesday, and friday at 9am": "0 9 * * 1,3,5",
    "every fri, mon at noon": "0 12 * * 1,5",
    "tuesdays and thursdays at 6 pm": "0 18 * * 2,4",
    "every week on monday": "0 0 * * 1",
    "weekly on friday at 17:00": "0 17 * * 5",
    "weekly on monday and friday": "0 0 * * 1,5",
    "weekly at 4:00": "0 4 * * 0",
    "monthly on the 15th": "0 0 15 * *",
    "every month on the 1st": "0 0 1 * *",
    "every month on 2nd": "0 0 2 * *",
    "every month on the 3rd at 3:33": "33 3 3 * *",
    "every month on the 1st and 15th": "0 0 1,15 * *",
    "every month on the 1st, the 11th and the 21st at noon": "0 12 1,11,21 * *",
    "every month on the 31st": "0 0 31 * *",
    "every month on the last day": "0 0 L * *",
    "every month on the last day at 23:00": "0 23 L * *",
    "every month on the first day": "0 0 1 * *",
    "every month on the last weekday at 5pm": "0 17 LW * *",
    "every month on the first monday": "0 0 * * 1#1",
    "every month on the second tuesday at 9:00": "0 9 * * 2#2",
    "monthly on the third wednesday": "0 0 * * 3#3",
    "every month on the fourth thu at noon": "0 12 * * 4#4",
    "every month on the last friday at 4pm": "0 16 * * 5L",
    "monthly at 6:00": "0 6 1 * *",
    "yearly at noon": "0 12 1 1 *",
}
INTERVALS = {
    "every second": timedelta(seconds=1),
    "every 1 second": timedelta(seconds=1),
    "every 15 seconds": timedelta(seconds=15),
    "every 90 secs": timedelta(seconds=90),
    "every 60 seconds": timedelta(seconds=60),
    "every 7 minutes": timedelta(minutes=7),
    "every 45 minutes": timedelta(minutes=45),
    "every 90 minutes": timedelta(minutes=90),
    "every 5 hours": timedelta(hours=5),
    "every 36 hours": timedelta(hours=36),
    "every 2 days": timedelta(days=2),
    "every 10 days": timedelta(days=10),
}
REFUSED = {
    "now": "now",
    "tomorrow": "tomorrow",
    "sometimes": "sometimes",
    "every now and then": "now",
    "every other day": "other",
    "every so often": "so",
    "every foo": "foo",
    "every 5": None,
    "every": None,
    "each": None,
    "every 5 parsecs": "parsecs",
    "every 5 fortnights": "fortnights",
    "every 2 weeks": "weeks",
    "every 3 months": "months",
    "every 2 years": "years",
    "every 0 minutes": "0",
    "every 0 seconds": "0",
    "every -5 minutes": "-5",
    "every 1.5 hours": "1.5",
    "every five minutes": "five",
    "every two hours": "two",
    "every half hour": "half",
    "every quarter": "quarter",
    "every 99999999 seconds": "99999999",
    "every 5 minutes at 9:00": "at",
    "every 5 minutes on monday": "on",
    "every 15 minutes between 9:00 and 17:00": "between",
    "every 15 minutes during business hours": "during",
    "every 7 minutes at noon": "at",
    "every 2 hours at 9:00": "at",
    "every 2 days at 9:00": "at",
    "every hour at 9:00": "at",
    "every hour on the hour": "on",
    "hourly at 15": "at",
    "every minute at noon": "at",
    "every day on monday": "on",
    "every day at": None,
    "every day at 9": "9",
    "every day at 25:00": "25:00",
    "every day at 24:00": "24:00",
    "every day at 9:60": "9:60",
    "every day at 9:5": "9:5",
    "every day at 13pm": "13pm",
    "every day at 0am": "0am",
    "every day at 9:00 o'clock": "o'clock",
    "every day at 9h": "9h",
    "every day at 9.30": "9.30",
    "every day at 09:00:30": "09:00:30",
    "every day at dawn": "dawn",
    "every day at sunset": "sunset",
    "every day at lunchtime": "lunchtime",
    "every day at nine": "nine",
    "every day at 9am pm": "pm",
    "every day at 9am or 5pm": "or",
    "every day at 9am and": None,
    "every day at 9am,": None,
    "every day at 9am, , 5pm": ",",
    "every day 9:00": "9:00",
    "every day from monday": "from",
    "every day except sunday": "except",
    "every day until friday": "until",
    "every day at noon please": "please",
    "every day at 9:00 every day": "every",
    "daily daily": "daily",
    "every weekday and saturday": "and",
    "every weekday, sunday": ",",
    "every weekdy at 9:00": "weekdy",
    "every workday": "workday",
    "every business day": "business",
    "every mond": "mond",
    "every moonday": "moonday",
    "every monday tuesday": "tuesday",
    "every monday or friday": "or",
    "every monday through friday": "through",
    "every monday to friday": "to",
    "every monday-friday": "monday-friday",
    "every monday and": None,
    "every monday and every friday": "every",
    "every monday and noon": "noon",
    "every first monday": "first",
    "every 1st of the month": "1st",
    "first monday of the month": "first",
    "the first of every month": "the",
    "on monday at 9:00": "on",
    "at noon": "at",
    "noon": "noon",
    "midnight": "midnight",
    "9:00": "9:00",
    "9am every day": "9am",
    "every month on": None,
    "every month on the": None,
    "every month on the 32nd": "32nd",
    "every month on the 0th": "0th",
    "every month on the 15": "15",
    "every month on 15": "15",
    "every month on monday": "monday",
    "every month on the monday": "monday",
    "every month on the last": None,
    "every month on the last week": "week",
    "every month on the fifth friday": "fifth",
    "every month on the second day": "day",
    "every month on the first weekday": "weekday",
    "every month on the penultimate day": "penultimate",
    "every month on the 1st through the 5th": "through",
    "every month at noon on the 1st": "on",
    "every week on noon": "noon",
    "every week on the monday": "the",
    "every year on january 1st": "on",
    "every january": "january",
    "every christmas": "christmas",
    "every full moon": "full",
    "twice a day": "twice",
    "once a week": "once",
    "three times a day": "three",
    "jeden Tag": "jeden",
    "toutes les heures": "toutes",
    "毎日": "毎日",
}


def test_these_are_two_hundred() -> None:
    assert len(UNDERSTOOD) + len(INTERVALS) >= 100
    assert len(REFUSED) >= 100


@pytest.mark.parametrize("said", UNDERSTOOD)
def test_understands(said: str) -> None:
    timing = Timing.parse(said)

    assert (timing.cron, timing.every, timing.zone) == (UNDERSTOOD[said], None, "UTC")
    assert timing.said == said.strip()


@pytest.mark.parametrize("said", INTERVALS)
def test_what_does_not_divide_an_hour_or_a_day_is_an_interval(said: str) -> None:
    timing = Timing.parse(said)

    assert (timing.cron, timing.every) == (None, INTERVALS[said])


@pytest.mark.parametrize("said", REFUSED)
def test_refuses_and_names_the_word(said: str) -> None:
    word = REFUSED[said]
    with pytest.raises(InvalidSchedule) as refused:
        Timing.parse(said)

    told = "something is missing" if word is None else f"{word!r} is not understood"
    assert told in str(refused.value)
    assert "every weekday at 9:00" in str(refused.value)


@pytest.mark.parametrize(
    "said",
    ["every day in Europe/Berlin", "every weekday at 9:00 in Europe/Berlin", "hourly IN UTC"],
)
def test_a_zone_comes_last(said: str) -> None:
    assert Timing.parse(said).zone == said.split()[-1]


@pytest.mark.parametrize(
    "said", ["every day in Atlantis", "every day in 5", "every day in the morning"]
)
def test_what_is_no_zone_is_named(said: str) -> None:
    with pytest.raises(InvalidSchedule, match=said.split()[-1]):
        Timing.parse(said)


def test_times_of_one_phrase_have_the_same_minutes() -> None:
    with pytest.raises(InvalidSchedule, match="differ in their minutes"):
        Timing.parse("every day at 9:00 and 17:30")


def test_every_phrase_is_explained_in_other_words() -> None:
    explained = Timing.parse("every weekday at 9:00 in Europe/Berlin").explain()

    assert explained == "At 09:00 on Monday through Friday, Europe/Berlin"
    assert Timing.parse("every 90 minutes").explain() == (
        "Every 1 hour 30 minutes, counted from 1970-01-01 00:00:00 UTC"
    )
