"""`manage.py pgqueue ...`: pgqueue's own commands, on the database of the settings."""

from __future__ import annotations

import os
import sys
from argparse import REMAINDER, ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from pgqueue.contrib.django import configured
from pgqueue.contrib.django.database import url_of

_OF_DJANGO: Final = ("--settings", "--pythonpath")


class Command(BaseCommand):
    help = "Jobs and their workers: pgqueue --help"
    requires_system_checks: list[str] = []  # noqa: RUF012  as Django declares it

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand everything on: these commands have their own options, and their own errors."""
        try:
            code = run(_without_django_s(argv[2:]), f"{Path(argv[0]).name} {argv[1]}")
        except CommandError as error:
            self.stderr.write(f"Error: {error}")
            code = error.returncode
        sys.exit(code)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--database", default=None, help="Whose queue: an alias of DATABASES.")
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *_: Any, **options: Any) -> None:
        alias = ["--database", options["database"]] if options["database"] else []
        if code := run([*alias, *options["arguments"]], "manage.py pgqueue"):
            raise CommandError(f"pgqueue ended with {code}", returncode=code)


def run(arguments: list[str], name: str) -> int:
    """Run pgqueue's command line with *arguments*, and return its exit code."""
    from pgqueue.cli import main

    alias = configured.database()
    if arguments[:1] == ["--database"] and len(arguments) > 1:
        alias, arguments = arguments[1], arguments[2:]
    if alias not in connections.settings:
        raise CommandError(f"DATABASES has no {alias!r}")
    told = {
        "PGQUEUE_URL": url_of(alias),
        "PGQUEUE_SCHEMA": configured.schema_of(alias),
        "PGQUEUE_APP": f"pgqueue.contrib.django.worker:{alias}",
    }
    defaults = {"PGQUEUE_QUEUES": ",".join(configured.queues(alias))}
    if settings.DEBUG:
        defaults["PGQUEUE_RELOAD"] = "1"
    os.environ.update(told)
    for variable, value in defaults.items():
        os.environ.setdefault(variable, value)
    try:
        main.main(arguments, prog_name=name)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _without_django_s(arguments: list[str]) -> list[str]:
    """Return *arguments* without those that manage.py itself has read already."""
    kept: list[str] = []
    given = iter(arguments)
    for argument in given:
        name, equals, _ = argument.partition("=")
        if name not in _OF_DJANGO:
            kept.append(argument)
        elif not equals:
            next(given, None)
    return kept
