"""`enqueue` in Python: it refuses, and nothing was; or the worker gets just what was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue import App, enqueue, operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import InvalidJob, PgqueueError
from pgqueue.jobs.job import NewJob
from tests.hostile.conftest import NAME, NUMBER, TEXT, VALUE, count, nested

hostile = settings.get_profile("hostile")
app = App()


@app.task
def takes(x: Any = None, **more: Any) -> None: ...


class Evil:
    """Fails when it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def says_why(refused: InvalidJob) -> None:
    assert 0 < len(str(refused)) < 1_000
    str(refused).encode()


def carried(connection: psycopg.Connection, make: Callable[[], NewJob[Any]]) -> str | None:
    """The arguments as they reach a worker; None when they were refused, and nothing was done."""
    before = count(connection)
    try:
        try:
            job = make()
        except InvalidJob as refused:
            says_why(refused)
            return None
        handle = enqueue(connection, job)
        assert count(connection) == before + 1
        backend = PostgresBackend("")
        with backend.on(connection) as executor:
            [claimed] = executor.execute(operations.claim(job.queue, 1, 1, 1))
        assert (claimed.id, claimed.task) == (handle.id, job.task)
        return claimed.args
    finally:
        connection.rollback()
        assert count(connection) == before


def same(given: Any, got: Any) -> bool:
    """Is *got* what was *given*? A store keeps the digits of a number, not its type."""
    if isinstance(given, float) and isinstance(got, (int, float)):
        return float(got) == given
    if isinstance(given, list) and isinstance(got, list):
        return len(given) == len(got) and all(map(same, given, got))
    if isinstance(given, dict) and isinstance(got, dict):
        return given.keys() == got.keys() and all(same(given[key], got[key]) for key in given)
    return bool(given == got)


@hostile
@given(value=VALUE)
def test_any_argument(connection: psycopg.Connection, value: Any) -> None:
    args = carried(connection, lambda: takes.job(value))

    if args is not None:
        [got], _ = takes.decode_args(args)
        assert same(value, got)


@hostile
@given(more=st.dictionaries(TEXT.filter(lambda name: name != "x"), VALUE, max_size=3))
def test_any_name_of_an_argument(connection: psycopg.Connection, more: dict[str, Any]) -> None:
    args = carried(connection, lambda: takes.job(**more))

    if args is not None:
        assert same(more, takes.decode_args(args)[1])


DIGITS = "9" * 200_000
TEXTS = [
    '{"a": %s}' % ("[" * 10_000 + "]" * 10_000),
    '{"a":' * 3_000 + "1" + "}" * 3_000,
    '{"a": "%s"}' % ("[" * 10_000),
    f'{{"a": {DIGITS}}}',
    f'{{"a": {DIGITS[:900]}}}',
    f'{{"a": 0.{DIGITS}}}',
    f'{{"a": "{DIGITS}"}}',
    '{"a": 1e400}',
    '{"a": -1E+99999999}',
    '{"a": 1e-400}',
    '{"a": 0e-400}',
    '{"a": NaN}',
    '{"a": Infinity}',
    '{"a": "\\u0000"}',
    '{"\\u0000": 1}',
    '{"a": "\\\\u0000"}',
    '{"a": "\\ud800"}',
    '{"a": "\\ud83d\\ude00"}',
    '{"a": "\\ude00\\ud83d"}',
    '{"a": "\0"}',
    '{"a": "\x01"}',
    "\ufeff{}",
    "{} {}",
    "{'a': 1}",
    '{"a": 1, "a": 2}',
    '{"": {"": {}}}',
    " \n{}\t",
    "[]",
    "null",
    '{"a": "%s"}' % ("x" * (2**20 - 9)),
    '{"a": "%s"}' % ("x" * (2**20 - 8)),
    '{"%s": 1}' % ("k" * 2**19),
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{text[:20]!r}…{len(text)}")
def test_any_text_as_arguments(connection: psycopg.Connection, text: str) -> None:
    carried(connection, lambda: NewJob("takes", text))


@hostile
@given(text=TEXT)
def test_any_text_at_all_as_arguments(connection: psycopg.Connection, text: str) -> None:
    carried(connection, lambda: NewJob("takes", text))
    carried(connection, lambda: NewJob("takes", f'{{"a": "{text}"}}'))


@hostile
@given(
    task=NAME,
    options=st.fixed_dictionaries(
        {},
        optional={
            "queue": NAME,
            "priority": NUMBER,
            "max_attempts": NUMBER,
            "timeout": st.one_of(NUMBER, st.timedeltas()),
            "delay": st.one_of(NUMBER, st.timedeltas()),
            "run_at": st.one_of(TEXT, st.datetimes(), st.datetimes(timezones=st.just(UTC))),
            "unique": TEXT,
            "tags": st.one_of(TEXT, st.lists(NAME, max_size=3)),
            "metadata": st.one_of(TEXT, st.dictionaries(TEXT, VALUE, max_size=2)),
        },
    ),
)
def test_any_options(connection: psycopg.Connection, task: str, options: dict[str, Any]) -> None:
    later = {"run_at", "delay"} & options.keys()
    before = count(connection)
    try:
        enqueue(connection, NewJob[Any](task).options(**options))
        assert count(connection) == before + 1
    except InvalidJob as refused:
        says_why(refused)
        assert count(connection) == before
    finally:
        connection.rollback()
    if not later and options.keys() <= {"queue", "tags"}:
        carried(connection, lambda: NewJob[Any](task).options(**options))


@pytest.mark.parametrize("option", ["queue", "priority", "delay", "unique", "tags", "metadata"])
def test_an_option_that_cannot_even_be_shown(option: str) -> None:
    for value in (Evil(), [Evil()], {"a": Evil()}, 10**5000, nested(2_000)):
        with pytest.raises(InvalidJob) as refused:
            NewJob[Any]("takes").options(**{option: value})
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("given", [None, 7, "job", b"job", [Evil()], Evil(), {"a": 1}, iter([1])])
def test_what_is_no_job(connection: psycopg.Connection, given: Any) -> None:
    with pytest.raises(InvalidJob, match=r"is no job|give"):
        enqueue(connection, given)


# Many at once


def failing(after: int) -> Iterator[NewJob[Any]]:
    for n in range(after):
        yield takes.job(n)
    raise InterruptedError


def test_a_generator_is_taken_to_its_end_first(connection: psycopg.Connection) -> None:
    handles = enqueue(connection, (takes.job(n) for n in range(3_500)))
    assert len(handles) == count(connection) == 3_500
    connection.rollback()


def test_a_generator_that_fails_has_enqueued_nothing(
    connection: psycopg.Connection, url: str
) -> None:
    own = App(url)
    with pytest.raises(InterruptedError):
        enqueue(connection, failing(2_500))
    with pytest.raises(InterruptedError):
        own.enqueue(failing(2_500))
    own.close()
    assert count(connection) == 0
    connection.rollback()


def test_what_the_server_refuses_of_many_is_refused_of_all(
    connection: psycopg.Connection, url: str
) -> None:
    """A raw job that slips through every check: still all or none."""
    bad = NewJob[Any]("takes")
    msgspec.structs.force_setattr(bad, "args", '{"a": "\\u0000"}')
    own = App(url)
    with pytest.raises((psycopg.Error, PgqueueError)):
        own.enqueue([*(takes.job(n) for n in range(1_500)), bad])
    own.close()
    assert count(connection) == 0
    connection.rollback()


def test_far_instants(connection: psycopg.Connection) -> None:
    for at in (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(InvalidJob, match="year"):
            NewJob[Any]("takes", run_at=at)
    with pytest.raises(InvalidJob, match="too long"):
        NewJob[Any]("takes", delay=timedelta.max)
