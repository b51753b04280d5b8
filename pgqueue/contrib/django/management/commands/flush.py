"""`manage.py flush`, which also removes jobs.

Django's empties the tables of its models, and the queue's are none. A TransactionTestCase flushes
after each test: without this, jobs would leak from one to the next.
"""

from __future__ import annotations

from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction

from pgqueue.contrib.django.configured import schema_of
from pgqueue.contrib.django.database import STORES
from pgqueue.statements.files import load


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        """Ask what Django's asks, and flush. It would not tell whether the answer was yes."""
        alias = options["database"]
        if options["interactive"]:
            name = connections[alias].settings_dict["NAME"]
            question = (
                f"You have requested a flush of the database.\nThis will IRREVERSIBLY DESTROY all "
                f'data currently in the "{name}" database, jobs included, and return each table to '
                "an empty state.\nAre you sure you want to do this?\n\n"
                "    Type 'yes' to continue, or 'no' to cancel: "
            )
            if input(question) != "yes":
                self.stdout.write("Flush cancelled.")
                return
        super().handle(**{**options, "interactive": False})
        empty(alias)


def empty(alias: str) -> None:
    """Remove the jobs in the database *alias*, if it has a queue."""
    connection = connections[alias]
    if connection.vendor not in STORES:
        return
    statements = load(STORES[connection.vendor], schema_of(alias), "pyformat")
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        cursor.execute(statements["django/turn"].steps[-1].sql, {})
        if cursor.fetchall()[0][0]:
            for step in statements["django/flush"].steps:
                cursor.execute(step.sql, {})
