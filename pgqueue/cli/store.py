"""The store of a command line: `--url`, `--schema`, and one connection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pgqueue.backends.base import Backend
    from pgqueue.jobs.job import Handle, NewJob
    from pgqueue.operations import Operation, Plan

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Connected:
    """One connection to the store, for as long as a command lasts."""

    def __init__(self, backend: Backend, connection: Any) -> None:
        self._backend = backend
        self._connection = connection
        self.head = backend.head
        self.store = backend.store
        self.capabilities = backend.capabilities

    def execute(self, operation: Operation[T]) -> T:
        with self._backend.on(self._connection) as executor:
            return executor.execute(operation)

    def carry(self, plan: Plan[T]) -> T:
        """Carry *plan* out, each of its operations in a transaction of its own."""
        from pgqueue.backends.plans import carry_out

        return carry_out(plan, self.execute)

    def together(self, plan: Callable[[], Plan[T]]) -> T:
        """Carry a *plan* out in one transaction; repeat it while the store rolls it back."""
        from pgqueue.backends.plans import patiently

        return patiently(lambda: self.carry_out(plan()))

    def steps(self, steps: Generator[Callable[[], Plan[T]], T, object]) -> Iterator[T]:
        """Carry out what *steps* yields, each in one transaction; yield what each has done."""
        with suppress(StopIteration):
            step = next(steps)
            while True:
                done = self.together(step)
                yield done
                step = steps.send(done)

    def enqueue(self, jobs: Sequence[NewJob[Any]]) -> list[Handle[Any]]:
        from pgqueue import operations

        return self.carry_out(operations.enqueue(jobs))

    def carry_out(self, plan: Plan[T]) -> T:
        """Carry *plan* out in one transaction."""
        from pgqueue.backends.plans import carry_out

        with self._backend.on(self._connection) as executor:
            return carry_out(plan, executor.execute, getattr(executor, "together", None))


@dataclass(frozen=True, slots=True)
class Store:
    """The store that `--url` and `--schema` name."""

    given_url: str | None
    schema: str
    by: str | None = None
    reason: str | None = None

    @property
    def who(self) -> str:
        """Who acts, for the audit: as `--by` says, or the system's user and host."""
        from pgqueue.managing.actors import actor

        try:
            return actor(self.by)
        except ValueError as error:
            raise click.UsageError(f"--by: {error}") from error

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
        from pgqueue.backends.refusals import explained

        backend = backends.connect(self.url, schema=self.schema)
        with backend.connect() as connection, explained(backend):
            yield Connected(backend, connection)


def schema_name(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """*value*, if it can be a schema's name."""
    from pgqueue.statements.files import in_schema

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

by_option = click.option(
    "--by",
    envvar="PGQUEUE_ACTOR",
    show_envvar=True,
    metavar="NAME",
    help="Who does it, for the audit.  [default: your user name, and the host]",
)
reason_option = click.option(
    "--reason", metavar="TEXT", help="Why: the audit shows it, and each job that is cancelled."
)


def store_options(command: F) -> F:
    """Gives *command* the options that name a store, as its parameter *store*."""

    @url_option
    @schema_option
    @functools.wraps(command)
    def with_store(*args: Any, url: str | None, schema: str, **kwargs: Any) -> Any:
        return command(*args, store=Store(url, schema), **kwargs)

    return with_store  # type: ignore[return-value]  # the same, with other options


def acting_options(command: F) -> F:
    """Gives *command*, which changes something, the options that name a store, and those for the
    audit: `--by`, who does it, and `--reason`."""

    @by_option
    @reason_option
    @store_options
    @functools.wraps(command)
    def by_somebody(
        *args: Any, store: Store, by: str | None, reason: str | None, **kwargs: Any
    ) -> Any:
        return command(*args, store=replace(store, by=by, reason=reason), **kwargs)

    return by_somebody  # type: ignore[return-value]  # the same, with other options
