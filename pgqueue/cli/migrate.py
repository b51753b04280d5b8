"""`pgqueue migrate`: the tables, brought to the version that this pgqueue needs."""

from __future__ import annotations

import sys

import click

from pgqueue.cli.command import Command
from pgqueue.cli.printable import say
from pgqueue.cli.store import Store, json_option, store_options


@click.command(cls=Command)
@click.option(
    "--to", default="head", show_default=True, metavar="VERSION", help="The version to go to."
)
@click.option("--sql", is_flag=True, help="Only print the SQL, for psql or for reading.")
@click.option("--check", is_flag=True, help="Only say whether it is needed: exit code 1 if so.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before going back, which loses jobs.")
@store_options
@json_option
def migrate(store: Store, as_json: bool, to: str, sql: bool, check: bool, yes: bool) -> None:
    """Bring the database's tables up to date.

    Safe to run at each deploy, several times at once, and while workers run: what is
    there is left alone. Going back, --to an older version or to "base", is confirmed first.
    """
    from pgqueue import migrations

    if store.name == "redis":
        _nothing_to_do(store, as_json)
        return
    if sql:
        text = migrations.script(to, schema=store.schema, store=store.name or "postgres")
        say(text, nl=False)
        return
    if check:
        _check(store, as_json)
        return
    before = _version(store)
    if before is not None and to != "head" and (to == "base" or to < before):
        _confirm(store.schema, before, to, yes)
    migrations.migrate(store.url, to=to, schema=store.schema)
    newest = migrations.head(migrations.database_at(store.url).store)
    _say(as_json, store.schema, before=before, after=_version(store), newest=newest)


def _check(store: Store, as_json: bool) -> None:
    """Prints what a migration would do. Raises SchemaError when there is something to do."""
    from pgqueue import migrations
    from pgqueue.errors import SchemaError

    database = migrations.database_at(store.url).store
    found = _version(store)
    try:
        migrations.sufficient(found, database, store.schema)
    except SchemaError:
        if as_json:
            _say(as_json, store.schema, before=found, after=migrations.head(database))
        raise
    _say(as_json, store.schema, before=found, after=found, newest=migrations.head(database))


def _nothing_to_do(store: Store, as_json: bool) -> None:
    """A Redis has no tables: it only has to be there."""
    version = _version(store)
    if as_json:
        _say(as_json, store.schema, before=version, after=version)
    else:
        say(f"schema {store.schema}: Redis has no tables, there is nothing to migrate")


def _version(store: Store) -> str | None:
    from pgqueue.errors import SchemaMissing
    from pgqueue.operations import inspections

    try:
        with store.connected() as connected:
            return connected.execute(inspections.version())
    except SchemaMissing:  # or, in SQLite, there is no file
        return None


def _confirm(schema: str, before: str, to: str, yes: bool) -> None:
    what = f"take the schema {schema} back from {before} to {to}, which loses what it holds"
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"say --yes to {what}: there is nobody to ask")
    click.confirm(f"{what.capitalize()}?", abort=True, err=True)


def _enough(version: str, newest: str | None) -> str:
    if newest is None or version <= newest:
        return "as needed"
    return f"newer than this pgqueue, which knows {newest}: upgrade pgqueue"


def _say(
    as_json: bool,
    schema: str,
    *,
    before: str | None,
    after: str | None,
    newest: str | None = None,
) -> None:
    if as_json:
        from pgqueue.cli.output import print_json

        print_json({"schema": schema, "before": before, "after": after, "changed": before != after})
    elif before is not None and before == after:
        say(f"schema {schema}: at {after}, {_enough(after, newest)}")
    elif after is None:
        say(f"schema {schema}: gone")
    else:
        say(f"schema {schema}: at {after}, before {before or 'there was none'}")
