"""Four ways in, one schema; and the way out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, MetaData, create_engine, event, make_url, text

from pgqueue import migrations, statements
from pgqueue.app import App
from pgqueue.errors import PgqueueError, SchemaMissing, SchemaOutOfDate
from pgqueue.jobs.job import NewJob
from tests.postgres.roles import a_role, as_role

CHECKOUT = Path(__file__).parents[2]
_CATALOG = """
    SELECT 'column', c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
           a.attnotnull::text, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = %(schema)s::text::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'relation', c.relname, c.relkind::text, c.reloptions::text,
           pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid)
    FROM pg_class AS c WHERE c.relnamespace = %(schema)s::text::regnamespace
    UNION ALL
    SELECT 'index', c.relname, pg_get_indexdef(c.oid), NULL, NULL, NULL
    FROM pg_class AS c
    WHERE c.relnamespace = %(schema)s::text::regnamespace AND c.relkind IN ('i', 'I')
    UNION ALL
    SELECT 'constraint', conname, pg_get_constraintdef(oid), NULL, NULL, NULL
    FROM pg_constraint WHERE connamespace = %(schema)s::text::regnamespace
    UNION ALL
    SELECT 'function', proname, pg_get_functiondef(oid), NULL, NULL, NULL
    FROM pg_proc WHERE pronamespace = %(schema)s::text::regnamespace
    UNION ALL
    SELECT 'view', viewname, definition, NULL, NULL, NULL
    FROM pg_views WHERE schemaname = %(schema)s::text
    UNION ALL
    SELECT 'sequence', sequencename, increment_by::text, min_value::text, max_value::text,
           data_type::text
    FROM pg_sequences WHERE schemaname = %(schema)s::text
"""


def catalog(url: str, schema: str = "pgqueue") -> set[tuple[str | None, ...]]:
    """Everything in *schema* as the database describes it, but for Alembic's own table."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(_CATALOG.encode(), {"schema": schema}).fetchall()
    return {
        tuple(
            None
            if value is None
            else value.replace(f'"{schema}"', schema).replace(schema, "pgqueue")
            for value in row
        )
        for row in rows
        if "alembic_version" not in str(row)
    }


def schemas(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")
        return {name for (name,) in rows} - {"public", "information_schema"}


def by_migrate(url: str) -> None:
    migrations.migrate(url)


def by_alembic(url: str) -> None:
    alembic(url, "upgrade", "head")


def by_the_applications_own_revision(url: str) -> None:
    with bound(url) as bind:
        migrations.upgrade(bind, to=migrations.head())


@contextmanager
def bound(url: str) -> Iterator[Connection]:
    """The connection that an application's own revision works through."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as bind:
        yield bind
    engine.dispose()


def by_psql(url: str) -> None:
    for file in statements.schema_files("postgres"):
        path = statements.folder("postgres") / "schema" / f"{file.name}.sql"
        psql(url, "--single-transaction", "-f", str(path))


def by_script(url: str) -> None:
    psql(url, "-c", migrations.script())


WAYS = [by_migrate, by_alembic, by_the_applications_own_revision, by_psql, by_script]


def alembic(url: str, *words: str) -> str:
    command = [sys.executable, "-m", "alembic", *words]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "PGQUEUE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def psql(url: str, *words: str) -> None:
    """What psql does with a file, through libpq: the binaries of a server need not bring psql."""
    sql = Path(words[-1]).read_text() if words[-2] == "-f" else words[-1]
    with psycopg.connect(url, autocommit="--single-transaction" not in words) as connection:
        connection.execute(sql.encode())


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_ends_in_the_same_schema(
    way: Callable[[str], None], empty_url: str, postgres_url: str
) -> None:
    way(empty_url)

    assert catalog(empty_url) == catalog(postgres_url)
    assert migrations.check(empty_url) == migrations.head()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(first, second, marks=[] if by_migrate in (first, second) else pytest.mark.slow)
        for first in WAYS
        for second in (by_migrate, by_alembic, by_the_applications_own_revision)
    ],
)
def test_a_second_way_finds_nothing_left_to_do(
    first: Callable[[str], None], second: Callable[[str], None], empty_url: str
) -> None:
    first(empty_url)
    before = catalog(empty_url)

    second(empty_url)

    assert catalog(empty_url) == before


def test_alembic_prints_what_psql_can_run(empty_url: str, postgres_url: str) -> None:
    script = alembic(empty_url, "upgrade", "head", "--sql")

    psql(empty_url, "-c", script)

    assert catalog(empty_url) == catalog(postgres_url)


def test_alembic_prints_the_way_back_too(empty_url: str) -> None:
    migrations.migrate(empty_url)

    psql(empty_url, "-c", alembic(empty_url, "downgrade", f"{migrations.head()}:base", "--sql"))

    assert catalog(empty_url) == set()


def test_two_schemas_live_side_by_side(empty_url: str) -> None:
    migrations.migrate(empty_url)
    migrations.migrate(empty_url, schema="billing")

    here, there = App(empty_url), App(empty_url, schema="billing")
    here.enqueue([NewJob("here")] * 1)
    there.enqueue([NewJob("there", schema="billing"), NewJob("there", schema="billing")])

    assert catalog(empty_url, "billing") == catalog(empty_url)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT count(*) FROM pgqueue.job").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM billing.job").fetchone() == (2,)
    here.close()
    there.close()


def test_migrators_that_start_together_take_turns(empty_url: str, postgres_url: str) -> None:
    ways = [by_the_applications_own_revision, by_alembic] * 3

    with ThreadPoolExecutor(len(ways)) as threads:
        list(threads.map(lambda way: way(empty_url), ways))

    assert catalog(empty_url) == catalog(postgres_url)


def by_the_applications_own_downgrade(url: str) -> None:
    with bound(url) as bind:
        migrations.downgrade(bind)


def by_migrate_to_base(url: str) -> None:
    migrations.migrate(url, to="base")


def by_alembic_downgrade(url: str) -> None:
    alembic(url, "downgrade", "base")


OUT = [by_the_applications_own_downgrade, by_migrate_to_base, by_alembic_downgrade]


@pytest.mark.parametrize("way_in", [by_the_applications_own_revision, by_migrate])
@pytest.mark.parametrize("out", OUT)
def test_a_downgrade_to_nothing_leaves_nothing(
    way_in: Callable[[str], None], out: Callable[[str], None], empty_url: str
) -> None:
    way_in(empty_url)

    out(empty_url)

    assert schemas(empty_url) == set()
    with pytest.raises(SchemaMissing, match="pgqueue migrate"):
        migrations.check(empty_url)


@pytest.mark.parametrize(
    ("way_in", "way_out"),
    [
        (by_migrate, by_the_applications_own_downgrade),
        (by_alembic, by_the_applications_own_downgrade),
        (by_the_applications_own_revision, by_migrate_to_base),
        (by_psql, by_alembic_downgrade),
    ],
)
def test_what_was_undone_can_be_done_again(
    way_in: Callable[[str], None],
    way_out: Callable[[str], None],
    empty_url: str,
    postgres_url: str,
) -> None:
    way_in(empty_url)
    way_out(empty_url)

    by_migrate(empty_url)

    assert catalog(empty_url) == catalog(postgres_url)


@pytest.mark.parametrize(
    "mine", ["TABLE pgqueue.mine ()", "TYPE pgqueue.mine AS ENUM ()", "DOMAIN pgqueue.mine AS text"]
)
def test_a_downgrade_keeps_what_else_lives_in_the_schema(mine: str, empty_url: str) -> None:
    migrations.migrate(empty_url)
    with psycopg.connect(empty_url) as connection:
        connection.execute(f"CREATE {mine}".encode())

    migrations.migrate(empty_url, to="base")

    assert schemas(empty_url) == {"pgqueue"}


def test_an_upgrade_leaves_the_applications_connection_as_it_was(empty_url: str) -> None:
    with bound(empty_url) as bind:
        migrations.upgrade(bind)

        assert bind.execute(text("SELECT '100%' || :sign"), {"sign": "%"}).scalar() == "100%%"
        assert bind.execute(text("SELECT '100%'")).scalar() == "100%"


def test_an_applications_offline_script_holds_the_files(empty_url: str, postgres_url: str) -> None:
    def script(revision: Callable[[], None]) -> str:
        options = {"as_sql": True, "output_buffer": StringIO()}
        offline = MigrationContext.configure(dialect_name="postgresql", opts=options)
        with Operations.context(offline):
            revision()
        return options["output_buffer"].getvalue()

    psql(empty_url, "-c", script(lambda: migrations.upgrade(op.get_bind(), to=migrations.head())))
    assert catalog(empty_url) == catalog(postgres_url)
    psql(empty_url, "-c", script(lambda: migrations.downgrade(op.get_bind())))
    assert catalog(empty_url) == set()


def test_a_newer_schema_is_left_alone(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO pgqueue.migration (version) VALUES ('9998')")
    before = catalog(postgres_url)

    for way in (by_migrate, by_alembic, by_the_applications_own_revision):
        way(postgres_url)
    with pytest.raises(PgqueueError, match="only a newer pgqueue"):
        by_migrate_to_base(postgres_url)

    assert catalog(postgres_url) == before
    assert migrations.check(postgres_url) == "9998"


def test_looking_leaves_nothing_behind(empty_url: str) -> None:
    alembic(empty_url, "current")

    assert schemas(empty_url) == set()


def test_an_old_schema_is_named_with_its_cure(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE pgqueue.migration SET version = '0000' WHERE version = '0001'")
        connection.execute("DELETE FROM pgqueue.migration WHERE version > '0000'")

    with pytest.raises(SchemaOutOfDate, match=r"0000.*pgqueue migrate"):
        migrations.check(postgres_url)


def test_an_enqueuer_of_before_reads_when_jobs_were_due(empty_url: str) -> None:
    migrations.migrate(empty_url, to="0003")
    with a_role(empty_url) as role:
        with psycopg.connect(empty_url) as connection:
            for right in (
                "USAGE ON SCHEMA pgqueue",
                "SELECT (queue, state, run_at) ON pgqueue.job",
                "EXECUTE ON FUNCTION pgqueue.link",
            ):
                connection.execute(f'GRANT {right} TO "{role}"'.encode())
        migrations.migrate(empty_url)

        with psycopg.connect(as_role(empty_url, role)) as enqueuer:
            found = enqueuer.execute("SELECT min(coalesce(due_at, run_at)) FROM pgqueue.job")
            assert found.fetchone() == (None,)


def test_rows_that_were_written_by_hand_get_a_form(empty_url: str) -> None:
    migrations.migrate(empty_url, to="0003")
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "INSERT INTO pgqueue.job (state, task, queue, run_at, timeout_seconds, unique_key,"
            " metadata, tags) VALUES"
            " ('available', E'my task\\n', '', 'infinity', 'NaN', '', '[1]', '{{a},{b}}'),"
            " ('scheduled', '-t', repeat('q', 200), '-infinity', 7, repeat('k', 600),"
            " '{}', '{a,NULL}'),"
            " ('available', 'mine', 'default', '2030-01-01Z', 60, 'k', '{}', '{a}')"
        )

    migrations.migrate(empty_url)

    with psycopg.connect(empty_url) as connection:
        rows = connection.execute(
            "SELECT task, length(queue), extract(year FROM run_at AT TIME ZONE 'UTC')::integer,"
            " timeout_seconds, length(unique_key), metadata::text, tags"
            " FROM pgqueue.job ORDER BY id"
        ).fetchall()
        open_ended = connection.execute(
            "SELECT FROM pg_constraint WHERE NOT convalidated"
        ).fetchall()
    assert rows == [
        ("my_task_", 1, 9999, 36525 * 86400, 32, '{"metadata": [1]}', None),
        ("_-t", 128, 2, 7, 32, "{}", None),
        ("mine", 7, 2030, 60, 1, "{}", ["a"]),
    ]
    assert open_ended == []


def test_an_unknown_version_and_an_impossible_schema_are_refused(empty_url: str) -> None:
    for version in ("second", "9998"):
        with pytest.raises(PgqueueError, match=version):
            migrations.migrate(empty_url, to=version)
        with bound(empty_url) as bind, pytest.raises(PgqueueError, match=version):
            migrations.upgrade(bind, to=version)
    with pytest.raises(ValueError, match="plain name"):
        App(empty_url, schema='a"b')
    with pytest.raises(ValueError, match="plain name"):
        migrations.migrate(empty_url, schema='a"; DROP SCHEMA public; --')
    assert schemas(empty_url) == set()


# The tables are there, and the note of them is not


@pytest.mark.parametrize("version", [file.version for file in statements.schema_files("postgres")])
def test_tables_without_a_note_are_recognised(version: str, empty_url: str) -> None:
    """As `pg_dump --schema-only` leaves them, or a test suite that truncates all tables."""
    migrations.migrate(empty_url, to=version)
    with psycopg.connect(empty_url) as connection:
        connection.execute("TRUNCATE pgqueue.migration")
    with bound(empty_url) as bind:
        assert migrations.current(bind) == version

    migrations.migrate(empty_url)

    assert migrations.check(empty_url) == migrations.head()


@contextmanager
def reading(url: str, *tables: str) -> Iterator[psycopg.Connection[object]]:
    """A report has read *tables*, and its transaction stays open."""
    with psycopg.connect(url) as report:
        for table in tables:
            report.execute(f"SELECT count(*) FROM {table}".encode())
        yield report
        report.rollback()


def test_a_migration_that_waits_for_a_report_makes_nobody_wait(empty_url: str) -> None:
    """It asks for locks for a moment, gives back all it has, and asks again."""
    migrations.migrate(empty_url, to="0003")
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(empty_url, autocommit=True) as other,
        reading(empty_url, "pgqueue.jobs") as report,
    ):
        migrating = threads.submit(migrations.migrate, empty_url)
        blocked = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        try:
            while other.execute(blocked).fetchone() != (1,):
                assert not migrating.done()
            other.execute("SET statement_timeout = '1500ms'")
            for _ in range(20):
                other.execute(
                    "INSERT INTO pgqueue.archive SELECT * FROM pgqueue.archive WHERE false"
                )
                other.execute("UPDATE pgqueue.job SET state = state")
            assert not migrating.done()
        finally:
            report.rollback()
        migrating.result(30)

    assert migrations.check(empty_url) == migrations.head()


def test_autogenerate_leaves_the_queues_tables_alone(postgres_url: str) -> None:
    def configured(bind: Connection, **options: object) -> list[object]:
        context = MigrationContext.configure(bind, opts={"include_schemas": True, **options})
        return list(compare_metadata(context, MetaData()))

    with bound(postgres_url) as bind:
        assert configured(bind)
        assert not configured(bind, include_name=migrations.include_name)
        assert not configured(bind, include_object=migrations.include_object)


def test_autogenerate_leaves_the_queues_tables_in_a_shared_file_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    migrations.migrate(url)
    engine = create_engine(url)
    with engine.connect() as bind:
        for option in ("include_name", "include_object"):
            options = {option: getattr(migrations, option)}
            context = MigrationContext.configure(bind, opts=options)
            assert not compare_metadata(context, MetaData())
    engine.dispose()


def test_the_docs_name_the_newest_revision() -> None:
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]
    pages += (CHECKOUT / "pgqueue" / "migrations").glob("*.py")
    named = [
        version
        for page in pages
        for version in re.findall(r'upgrade\(op\.get_bind\(\), to="(\d+)"\)', page.read_text())
    ]

    assert set(named) == {migrations.head()}


def test_statements_are_sent_one_by_one(empty_url: str) -> None:
    """asyncpg prepares each, and several cannot be prepared as one."""
    sent: list[str] = []
    with bound(empty_url) as bind:
        event.listen(bind, "before_cursor_execute", lambda *told: sent.append(told[2]))
        migrations.upgrade(bind)

    assert len(sent) > 50
    assert max(len(statements.split(f"{sql.rstrip(';')};")) for sql in sent) == 1


def test_migrates_whatever_a_role_or_database_has_set(empty_url: str) -> None:
    name = make_url(empty_url).database
    with psycopg.connect(empty_url, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA odd")
        owner.execute(
            "CREATE FUNCTION odd.format(text, VARIADIC text[]) RETURNS text"
            " LANGUAGE sql AS $$ SELECT 'nothing of use' $$"
        )
        owner.execute(f"ALTER DATABASE {name} SET search_path = odd, pg_catalog".encode())
        owner.execute(f"ALTER DATABASE {name} SET statement_timeout = '1min'".encode())

    with migrations.connected(empty_url) as bind:
        assert bind.scalar(text("SHOW statement_timeout")) == "0"
        assert bind.scalar(text("SHOW search_path")) == "pg_catalog, odd, pg_catalog"
    migrations.migrate(empty_url)
    migrations.migrate(empty_url, to="0001")
    migrations.migrate(empty_url)

    assert migrations.check(empty_url) == migrations.head()
