"""Values as applications have them: the same arrives, or it is refused by name."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, time, timedelta, timezone
from enum import IntEnum
from typing import Any
from uuid import UUID

import pytest

from pgqueue import App
from pgqueue.errors import InvalidArguments, InvalidResult
from pgqueue.tasks import results

app = App()
ODD = timezone(timedelta(minutes=53, seconds=28))  # Berlin's, until 1893


@app.task
def at(when: datetime) -> None: ...


@app.task
def anything(value: Any) -> None: ...


@app.task
def typed(text: str = "", number: float = 0.0, count: int = 0) -> None: ...


def arrives(task: Any, job: Any) -> Any:
    (value,), _ = task.decode_args(job.args)
    return value


@pytest.mark.parametrize(
    "when",
    [
        datetime(1880, 1, 1, 12, tzinfo=ODD),
        datetime(1880, 1, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        datetime(2026, 1, 1, 12, tzinfo=zoneinfo.ZoneInfo("Asia/Kathmandu")),
        datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC),
    ],
)
def test_an_instant_arrives_to_the_microsecond(when: datetime) -> None:
    assert arrives(at, at.job(when)) == when
    text = results.write("task", {"deep": [when]})
    assert text is not None
    assert datetime.fromisoformat(text.split('"')[3]) == when


def test_a_time_whose_offset_has_seconds_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="no seconds in an offset"):
        anything.job(time(12, tzinfo=ODD))


class Level(IntEnum):
    HIGH = 1


@pytest.mark.parametrize(
    "value",
    [
        {1: "a", "1": "b"},
        {"deep": [{1: "a", "1": "b"}]},
        {Level.HIGH: "a", 1.0: "b", "1": "c"},
        {UUID(int=1): "a", str(UUID(int=1)): "b"},
    ],
)
def test_two_keys_that_are_one_in_json_are_refused(value: Any) -> None:
    with pytest.raises(InvalidArguments, match="two keys are"):
        anything.job(value)
    with pytest.raises(InvalidResult, match="two keys are"):
        results.write("task", value)


def test_keys_of_several_kinds_arrive_as_text() -> None:
    assert arrives(anything, anything.job({1: "a", "2": "b"})) == {"1": "a", "2": "b"}


class Text(str):
    """As markupsafe.Markup."""

    def __str__(self) -> str:
        return "not this"


class Number(float):
    """As numpy.float64."""


class Count(int):
    pass


class Moment(datetime):
    """As those of pendulum and freezegun."""


def test_subclasses_arrive_as_what_they_are() -> None:
    args, _ = typed.decode_args(typed.job(Text("<b>"), Number(0.5), Count(3)).args)
    assert args == ("<b>", 0.5, 3)
    moment = Moment(2026, 1, 1, 12, 30, 1, 7, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert arrives(at, at.job(moment)) == moment
    assert arrives(anything, anything.job([Text("a"), Number(1.5), Count(2)])) == ["a", 1.5, 2]


def test_those_of_libraries_arrive() -> None:
    numpy = pytest.importorskip("numpy")
    markupsafe = pytest.importorskip("markupsafe")
    pendulum = pytest.importorskip("pendulum")
    args, _ = typed.decode_args(typed.job(markupsafe.Markup("<b>"), numpy.float64(0.5)).args)
    assert args == ("<b>", 0.5, 0)
    moment = pendulum.datetime(2026, 1, 1, 12, tz="Asia/Tokyo")
    assert arrives(at, at.job(moment)) == moment


@app.task
def named(**more: Any) -> None: ...


def test_a_refusal_can_be_written_whatever_it_repeats() -> None:
    with pytest.raises(InvalidArguments) as refused:
        named.job(**{"\ud800": {"\0": None}})
    assert "\\ud800" in str(refused.value)
    str(refused.value).encode()
