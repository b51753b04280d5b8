"""`SELECT pgqueue.enqueue(...)`: an error that says what is wrong, or a job as it was given."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.hostile.conftest import NAME, TEXT, VALUE, can_be_sent, count

hostile = settings.get_profile("hostile")
NAME_FORM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}", re.ASCII)
ASKED = """
SELECT pgqueue.enqueue(%(task)s::text, %(args)s::jsonb, queue => %(queue)s::text,
                       priority => %(priority)s::integer, delay => %(delay)s::interval,
                       unique_key => %(key)s::text, tags => %(tags)s::text[],
                       metadata => %(metadata)s::jsonb)
"""
GIVEN = "SELECT task, args, queue, unique_key, tags FROM pgqueue.job WHERE id = %s"


@hostile
@given(
    task=NAME,
    args=st.one_of(TEXT, st.dictionaries(TEXT, VALUE, max_size=3)),
    queue=NAME,
    priority=st.one_of(st.none(), st.integers(-40_000, 40_000)),
    delay=st.sampled_from(["0", "1 s", "-1 s", "101 years", "infinity", "x", "1 month"]),
    key=st.one_of(st.none(), TEXT),
    tags=st.one_of(st.none(), st.lists(NAME, max_size=3)),
    metadata=st.one_of(st.none(), TEXT),
)
def test_anything(connection: psycopg.Connection, args: Any, **given: Any) -> None:
    text = args if isinstance(args, str) else _json(args)
    assume(can_be_sent(text, *(v for v in given.values() if isinstance(v, str))))
    assume(can_be_sent(*(given["tags"] or [])))
    before = count(connection)
    try:
        [(id,)] = connection.execute(ASKED, {"args": text, **given}).fetchall()
        [(task, kept, queue, key, tags)] = connection.execute(GIVEN, [id]).fetchall()
        assert (task, queue, key) == (given["task"], given["queue"], given["key"])
        assert NAME_FORM.fullmatch(task)
        assert NAME_FORM.fullmatch(queue)
        assert set(tags or []) == set(given["tags"] or [])
        assert isinstance(kept, dict)
    except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as refused:
        says_why(refused)
    finally:
        connection.rollback()
        assert count(connection) == before
        connection.rollback()


def says_why(refused: psycopg.Error) -> None:
    assert refused.diag.message_primary
    assert len(refused.diag.message_primary) < 3_000


def _json(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:  # a number of too many digits
        return "{}"


def test_one_that_is_deeply_nested(connection: psycopg.Connection) -> None:
    asked = "SELECT pgqueue.enqueue('t', %s::jsonb)"
    assert connection.execute(asked, [deep(400)]).fetchall()
    with pytest.raises(psycopg.errors.StatementTooComplex, match="stack depth"):
        connection.execute(asked, [deep(100_000)])
    connection.rollback()


def deep(depth: int) -> str:
    return '{"a": %s}' % ("[" * depth + "]" * depth)
