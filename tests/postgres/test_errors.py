"""Errors of the driver, as a worker learns of them."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import App, enqueue
from pgqueue.backends.postgres.errors import translated
from pgqueue.errors import StoreUnavailable


def test_more_answers_than_commands_are_a_connection_out_of_step(postgres_url: str) -> None:
    """A server that is shut down says so to a command that it has already answered.

    As an error of the job at hand, that job's outcome was given up, and the job ran again.
    """
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        begin = connection._exec_command(b"BEGIN; SELECT 1")  # what Connection.transaction sends
        with pytest.raises(StoreUnavailable), translated():
            connection.wait(begin)


def test_the_server_s_own_internal_error_is_none(postgres_url: str) -> None:
    with (
        psycopg.connect(postgres_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InternalError_),
        translated(),
    ):
        connection.execute("DO $$ BEGIN RAISE SQLSTATE 'XX000'; END $$")


def test_a_transaction_that_may_not_write_is_not_said_to_be_unreachable(postgres_url: str) -> None:
    app = App(postgres_url)

    @app.task
    def task() -> None: ...

    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        with pytest.raises(StoreUnavailable, match=r"takes no writes, .*read-only transaction: "):
            enqueue(connection, task.job())
    app.close()
