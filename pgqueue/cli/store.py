"""Where the jobs live, as a command line says it: `--url`, `--schema`, and one connection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pgqueue.backends.base import Backend
    from pgqueue.jobs import Handle, NewJob
    from pgqueue.operations import Operation

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Connected:
    """One connection to the store, for as long as a command lasts."""

    def __init__(self, backend: Backend, connection: Any) -> None:
        self._backend = backend
        self._connection = connection
        self.head = backend.head

    def execute(self, operation: Operation[T]) -> T:
        with self._backend.on(self._connection) as executor:
            return executor.execute(operation)

    def enqueue(self, jobs: Sequence[NewJob[Any]]) -> list[Handle[Any]]:
        from pgqueue import operations
        from pgqueue.backends.base import carry_out

        with self._backend.on(self._connection) as executor:
            return carry_out(operations.enqueue(jobs), executor.execute)


@dataclass(frozen=True, slots=True)
class Store:
    """The store that `--url` and `--schema` name."""

    given_url: str | None
    schema: str

    @property
    def url(self) -> str:
        if self.given_url:
            return self.given_url
        if not Path("pgqueue.db").exists():
            raise click.UsageError(
                "which database? Give --url or set PGQUEUE_URL, postgresql:///shop for example; "
                "without one it is SQLite's file pgqueue.db, and here is none"
            )
        return "sqlite:///pgqueue.db"

    @property
    def name(self) -> str | None:
        """The store's name, when a URL is given."""
        from pgqueue import backends

        return backends.store_of(self.given_url) if self.given_url else None

    @contextmanager
    def connected(self) -> Iterator[Connected]:
        """A connection, opened at once. Raises StoreUnavailable."""
        from pgqueue import backends

        backend = backends.connect(self.url, schema=self.schema)
        with backend.connect() as connection:
            yield Connected(backend, connection)


def schema_name(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """*value*, if it can be a schema's name."""
    from pgqueue.statements import in_schema

    if value is not None:
        try:
            in_schema("", value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return value


url_option = click.option(
    "--url",
    envvar="PGQUEUE_URL",
    show_envvar=True,
    metavar="URL",
    help="Where the jobs live, postgresql://user@host/database or sqlite:///jobs.db.",
)
schema_option = click.option(
    "--schema",
    envvar="PGQUEUE_SCHEMA",
    show_envvar=True,
    show_default=True,
    default="pgqueue",
    metavar="NAME",
    callback=schema_name,
    help="The schema that holds the tables.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def store_options(command: F) -> F:
    """Gives *command* the options that name a store, as its parameter *store*."""

    @url_option
    @schema_option
    @functools.wraps(command)
    def with_store(*args: Any, url: str | None, schema: str, **kwargs: Any) -> Any:
        return command(*args, store=Store(url, schema), **kwargs)

    return with_store  # type: ignore[return-value]
