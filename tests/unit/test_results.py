from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Optional, Union

import pytest
from pydantic import BaseModel

from pgqueue.errors import InvalidResult, ResultNotSerialisable, ResultTooLarge
from pgqueue.jobs.outcomes import Cancel, Discard, Retry, Snooze
from pgqueue.tasks import results
from pgqueue.tasks.results import ResultReader


@dataclass
class Report:
    day: date
    rows: list[int]


class Model(BaseModel):
    at: datetime


def read(annotation: Any, result: Any) -> Any:
    return ResultReader("render", annotation).read(results.write("render", result))


def test_none_is_no_text() -> None:
    assert results.write("render", None) is None
    assert ResultReader("render", int).read(None) is None


@pytest.mark.parametrize(
    ("annotation", "result"),
    [
        (int, 7),
        (Any, {"a": [1, None]}),
        (Report, Report(date(2026, 1, 1), [1])),
        (list[Model], [Model(at=datetime(2026, 1, 1, tzinfo=UTC))]),
        (Report | None, Report(date(2026, 1, 1), [])),
        (Report | Snooze, Report(date(2026, 1, 1), [])),
        (Snooze | Cancel | str | Retry | Discard, "done"),
        (Optional[int], 3),  # noqa: UP045
        (Union[int, Snooze, None], 3),  # noqa: UP007
    ],
)
def test_comes_back_as_the_annotation_says(annotation: Any, result: Any) -> None:
    assert read(annotation, result) == result
    assert type(read(annotation, result)) is type(result)


@pytest.mark.parametrize("result", [object(), {"a": float("nan")}, "\0", "\ud800", {(1,): 2}])
def test_refuses_what_cannot_be_kept(result: Any) -> None:
    with pytest.raises(ResultNotSerialisable, match="render: its result: "):
        results.write("render", result)


def test_refuses_what_is_too_large() -> None:
    results.write("render", "x" * (results.MAX_BYTES - 2))
    with pytest.raises(ResultTooLarge, match="262145 bytes of JSON; the limit is 262144"):
        results.write("render", "x" * (results.MAX_BYTES - 1))


def test_says_when_an_older_result_does_not_fit_the_annotation() -> None:
    with pytest.raises(InvalidResult, match="render: its result: Expected `int`, got `str`"):
        ResultReader("render", int).read('"old"')
    with pytest.raises(InvalidResult, match="render: its return annotation cannot be read"):
        ResultReader("render", str | bytes)


def test_outcomes_alone_leave_nothing_to_read() -> None:
    assert results.without_outcomes(Snooze) is type(None)
    assert results.without_outcomes(Snooze | Cancel) is type(None)
