"""Every verb, in a database whose sessions begin with settings that change how values are written,
how text is read, and what transactions may do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgqueue.backends.postgres import PostgresBackend
from pgqueue.testing import conformance
from tests.settings.conftest import is_set

globals().update(conformance.suite())

ODD = {
    "DateStyle": "'German'",
    "IntervalStyle": "'sql_standard'",
    "TimeZone": "'Asia/Kolkata'",
    "extra_float_digits": "-15",
    "bytea_output": "'escape'",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "array_nulls": "off",
    "xmloption": "'document'",
    "row_security": "off",
    "client_encoding": "'LATIN1'",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "check_function_bodies": "off",
    "plan_cache_mode": "'force_custom_plan'",
}


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    is_set(postgres_url, **ODD)
    backend = PostgresBackend(postgres_url)
    yield backend
    backend.close()


@pytest.fixture
def second_backend(backend: PostgresBackend) -> Iterator[PostgresBackend]:
    second = PostgresBackend(backend.url)
    yield second
    second.close()
