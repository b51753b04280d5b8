"""The behaviour of every command: it is imported when it is called, and each of its errors is one
line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any

import click

from pgqueue.cli.printable import be_open, be_plain, printable, say


class Failure(click.ClickException):
    """A command could not be carried out; the message names the cure."""

    exit_code = 1

    def format_message(self) -> str:
        return printable(super().format_message(), lines=True)


class Misuse(click.UsageError):
    """Wrong usage of a command: also one line, with a pointer to the help."""

    def show(self, file: IO[str] | None = None) -> None:
        path = self.ctx.command_path if self.ctx else "pgqueue"
        text = " ".join(self.format_message().split())
        say(f"Error: {text} ({path} --help)", file=file, err=file is None)


class _Program(click.Command):
    """What is called as a program: first its streams are open and plain."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        be_open()
        be_plain()
        return super().main(*args, **kwargs)


class Command(_Program):
    """A command whose errors are one line on stderr; `--debug` shows where they came from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=_remember_debug,
                envvar="PGQUEUE_DEBUG",
                help="Show the traceback of an error.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["pgqueue.arguments"] = list(args)
        with errors_are_lines(ctx):
            for n, word in enumerate(args, 1):
                if "\0" in word or not _is_text(word):  # not repeated: it may hold a password
                    raise click.UsageError(f"argument {n} is no text in UTF-8")
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with errors_are_lines(ctx):
            return super().invoke(ctx)


class LazyGroup(_Program, click.Group):
    """A group whose commands, "module:attribute" below `pgqueue.cli`, are imported when called.

    Their short descriptions are given here as well, since `--help` imports none of them. A name in
    the plural, "jobs", may also be called in the singular: `job show 7`.
    """

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with errors_are_lines(ctx):
            try:
                return super().parse_args(ctx, args)
            except click.NoSuchOption as error:
                raise click.UsageError(
                    f"{error.format_message()} Options come after the command", ctx
                ) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        with errors_are_lines(ctx):
            return super().resolve_command(ctx, args)

    def __init__(
        self, *args: Any, commands: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(commands or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._lazy and f"{name}s" in self._lazy:
            name = f"{name}s"
        if name not in self._lazy:
            return super().get_command(ctx, name)
        module, _, attribute = self._lazy[name][0].partition(":")
        command: click.Command = getattr(import_module(f"pgqueue.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, words) for name, (_, words) in self._lazy.items()]
        rows += [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@contextmanager
def errors_are_lines(ctx: click.Context) -> Iterator[None]:
    """Turns errors inside into a `Failure` or a `Misuse`; with `--debug` they pass unchanged."""
    try:
        yield
    except click.UsageError as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            raise
        raise Misuse(error.format_message(), error.ctx or ctx) from error
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if ctx.meta.get("pgqueue.debug"):
            raise
        raise Failure(line_of(error)) from error


def line_of(error: Exception) -> str:
    """One line that says what went wrong, and what to do about it."""
    from pgqueue.errors import PgqueueError, StoreUnavailable

    text = " ".join(str(error).strip().partition("\n")[0].split()) or type(error).__name__
    if isinstance(error, StoreUnavailable):
        return f"{text}; {error.cure}"
    if isinstance(error, PgqueueError):
        return " ".join(str(error).split())
    if _is_from_database(error):
        return f"the database says: {text}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else text
    return f"unexpected {type(error).__name__}: {text}; --debug shows where"


def _is_text(word: str) -> bool:
    """Whether *word* was given in UTF-8: Python turns other bytes into halves of surrogate pairs,
    which cannot be encoded."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_from_database(error: Exception) -> bool:
    return type(error).__module__.startswith("psycopg.") or hasattr(error, "orig")


def _remember_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta["pgqueue.debug"] = value
