"""The options that choose jobs, the same for every command: those of `pgqueue.Filter`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from pgqueue.jobs.filters import Filter, Scalar

STATES: Final = (
    "blocked",
    "scheduled",
    "available",
    "running",
    "retryable",
    "completed",
    "cancelled",
    "discarded",
)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in later clicks
    """A length of time: 90d, 1h30m, 45s."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        from pgqueue.views import typed

        try:
            return typed.duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Argument(click.ParamType):  # type: ignore[type-arg]  # generic in later clicks
    """A value that a job's arguments contain: user.id=7; JSON if it is no plain text."""

    name = "path=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Scalar]:
        if isinstance(value, tuple):
            return value
        from pgqueue.views import typed

        try:
            return typed.comparison(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


FILTERS: Final = (
    click.option("--state", "-s", type=click.Choice(STATES), multiple=True, help="In this state."),
    click.option("--queue", "-q", help="In this queue."),
    click.option("--task", help="Of this task."),
    click.option("--tag", help="With this tag."),
    click.option("--key", help="With this key."),
    click.option("--workflow", type=int, metavar="ID", help="Of this workflow."),
    click.option("--error", metavar="TYPE", help="Whose last error is of this type: ValueError."),
    click.option(
        "--arg",
        "args",
        type=Argument(),
        multiple=True,
        metavar="PATH=VALUE",
        help="With this argument: user.id=7.",
    ),
    click.option(
        "--older-than",
        type=Duration(),
        metavar="AGE",
        help="Ended, or enqueued if it has not, longer ago: 90d.",
    ),
    click.option("--newer-than", type=Duration(), metavar="AGE", help="Less long ago: 2h."),
    click.option(
        "--running-longer-than",
        type=Duration(),
        metavar="AGE",
        help="Running, and since longer ago: 10m.",
    ),
)


def filters(command: Any) -> Any:
    """Gives *command* the options of a filter."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


def filter_of(options: dict[str, Any]) -> Filter | None:
    """Takes the filter out of a command's *options*; None when none was given.

    Raises UsageError for a filter that can match no job.
    """
    from pgqueue.errors import InvalidFilter
    from pgqueue.jobs.filters import Filter

    given = {name: options.pop(name) for name in Filter.__struct_fields__}
    given["args"] = dict(given["args"])
    if not any(value not in (None, (), {}) for value in given.values()):
        return None
    try:
        return Filter(**given)
    except InvalidFilter as error:
        raise click.UsageError(str(error).removeprefix("Filter: ")) from error
