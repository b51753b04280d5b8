"""What each part of an application may do in the database, and that it may do nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import sql

from pgqueue import App, enqueue, migrations, operations
from pgqueue.backends.postgres import PostgresBackend
from pgqueue.errors import NotPermitted
from pgqueue.jobs.graphs import workflow
from pgqueue.jobs.job import NewJob, State
from pgqueue.jobs.unique import Unique
from pgqueue.operations import Operation, counting, inspections, rights
from pgqueue.operations.auditing import audit, audited
from pgqueue.statements.files import folder, schema_files
from pgqueue.testing.conformance import Store, a_job
from tests.postgres.roles import a_role, as_role
from tests.unit.test_statements import DESCRIBED

Role: TypeAlias = Callable[..., str]
SECRET = '{"password": "hunter2"}'
LINK = b"SELECT pgqueue.link(%s, %s, '[]', '[]', clock_timestamp())"
READS = {
    name
    for module in (inspections, counting)
    for name, verb in vars(module).items()
    if callable(verb) and getattr(verb, "__module__", "") == module.__name__
} | {
    "audited",
    "browse",
    "choose",
    "due",
    "exceptions",
    "firings",
    "list",
    "recall",
    "recollect",
    "schedules",
    "tallied",
    "turns",
    "usage",
    "watch",
    "whereabouts",
}
ENQUEUES = {
    "audit",
    "enqueue",
    "enqueue_alike",
    "enqueue_one",
    "enqueue_once",
    "enqueue_unique",
    "begin",
    "door",
    "hold",
    "schedule",
    "unschedule",
    "schedules",
    "due",
    "advance",
    "fired",
    "record",
    "firings",
}
# Refused whoever asks: the child it is described with is no job of the transaction's own.
NOT_OURS = {"link"}
# Sending a notification is everybody's right in a database.
ANYBODY = {"wake", "version"}


@pytest.fixture
def role(postgres_url: str) -> Iterator[Role]:
    """Makes a role that plays these parts; gives the URL to log in as it."""
    with ExitStack() as stack:
        yield lambda *parts: as_role(
            postgres_url, stack.enter_context(a_role(postgres_url, *parts))
        )


@pytest.fixture
def login(role: Role) -> Iterator[Callable[..., psycopg.Connection[Any]]]:
    """Logs in as a role that plays these parts, in autocommit."""
    with ExitStack() as stack:
        yield lambda *parts: stack.enter_context(psycopg.connect(role(*parts), autocommit=True))


def permitted(url: str, asked: list[Operation[Any]]) -> set[str]:
    """Which of these operations the role at *url* may carry out. They are rolled back."""
    may: set[str] = set()
    backend = PostgresBackend(url)
    for operation in asked:
        try:
            with backend.transaction() as executor:
                executor.execute(operation)
                raise InterruptedError
        except InterruptedError:
            may.add(operation.name)
        except NotPermitted:
            pass
    backend.close()
    return may


# An enqueuer


def test_an_enqueuer_enqueues_whatever_python_can(role: Role, store: Store) -> None:
    failed, done = store.bring("discarded"), store.bring("completed")
    store.claim(queue="parents")
    app = App(role("enqueuer"))
    first = a_job("first")
    [_, child] = app.enqueue([first, a_job("child").after(first)])
    [late, spoiled, bold] = app.enqueue(
        a_job("late").after(done),
        a_job("spoiled").after(failed),
        a_job("bold").after(failed, on_failure="run"),
    )
    grandchild = app.enqueue(a_job("grandchild").after(spoiled))
    unique, again = (app.enqueue(a_job("unique", unique="k")) for _ in range(2))
    merged = app.enqueue(
        [one := a_job(unique="k"), two := a_job(unique="k"), a_job().after(one, two)]
    )
    rule = Unique(key="r", until="started", conflict="replace")
    ruled = [app.enqueue(a_job(queue="ruled").options(unique=rule)) for _ in range(2)]
    [running] = store.claim(queue="ruled")
    ruled.append(app.enqueue(a_job().options(unique=rule)))
    app.enqueue(a_job().options(unique=Unique(key="w", until=60)))
    app.enqueue(workflow("flow", [a_job("step")], tags=["x"]))
    app.enqueue(a_job("soon", delay=None).options(delay=5, tags=["t"], metadata={"a": 1}))
    app.enqueue([a_job("many") for _ in range(1_100)])
    app.close()

    assert store.states(child, late, spoiled, bold, grandchild) == [
        "blocked",
        "available",
        "cancelled",
        "available",
        "cancelled",
    ]
    assert (again.id, again.created) == (unique.id, False)
    assert store.job(merged[2]).blocked_by == 1
    assert [handle.outcome for handle in ruled] == ["created", "replaced", "next"]
    assert list(store.outcomes(ruled[2])) == [(ruled[2].id, running.id)]


async def test_an_enqueuer_enqueues_in_a_transaction_of_its_own(role: Role, store: Store) -> None:
    parent = store.add()
    url = role("enqueuer")
    with psycopg.connect(url) as connection:
        blocking = enqueue(connection, a_job().after(parent))
    async with await psycopg.AsyncConnection.connect(url) as asynchronous:
        awaited = await enqueue(asynchronous, a_job().after(parent))

    assert store.states(blocking, awaited) == ["blocked", "blocked"]


def test_an_enqueuer_uses_the_door_in_sql(
    login: Callable[..., psycopg.Connection[Any]], store: Store
) -> None:
    connection = login("enqueuer")
    asked = "SELECT pgqueue.enqueue('t', '{}', unique_key => 'k', delay => '1 s', tags => '{x}')"
    ids = [connection.execute(asked.encode()).fetchall() for _ in range(2)]

    assert ids[0] == ids[1]
    assert store.state(ids[0][0][0]) == "scheduled"


def test_an_enqueuer_carries_out_nothing_but_enqueueing(role: Role) -> None:
    assert permitted(role("enqueuer"), DESCRIBED) == ENQUEUES | ANYBODY


@pytest.mark.parametrize(
    "asked",
    [
        "SELECT args FROM pgqueue.job",
        "SELECT task FROM pgqueue.job",
        "SELECT * FROM pgqueue.jobs",
        "SELECT result FROM pgqueue.archive",
        "SELECT * FROM pgqueue.archive_completed_default",
        "SELECT * FROM pgqueue.worker",
        "SELECT * FROM pgqueue.dependency",
        "INSERT INTO pgqueue.job (state, task) VALUES ('available', 't') RETURNING args",
        "INSERT INTO pgqueue.job (state, task, lease) VALUES ('running', 't', 1)",
        "INSERT INTO pgqueue.job (state, task, attempt) VALUES ('available', 't', -9)",
        "INSERT INTO pgqueue.job (state, task, id) VALUES ('available', 't', 1000)",
        "INSERT INTO pgqueue.job (state, task, position) VALUES ('available', 't', -1)",
        "INSERT INTO pgqueue.workflow (name, created_at, id) VALUES ('flow', now(), 1000)",
        "INSERT INTO pgqueue.archive_completed SELECT * FROM pgqueue.archive",
        "INSERT INTO pgqueue.dependency VALUES (1, 2)",
        "INSERT INTO pgqueue.queue VALUES ('q', now())",
        "UPDATE pgqueue.job SET run_at = now()",
        "DELETE FROM pgqueue.job",
        "SELECT FROM pgqueue.job FOR UPDATE",
        "TRUNCATE pgqueue.job",
        "SELECT nextval('pgqueue.lease')",
        "SELECT setval('pgqueue.job_id', 1)",
        "SELECT pgqueue.add_partition('completed', 1, 2)",
        "SELECT pgqueue.drop_partition('pgqueue.archive_completed_default')",
        "CREATE TABLE pgqueue.mine ()",
        "DROP TABLE pgqueue.job",
        "ALTER FUNCTION pgqueue.link RESET search_path",
    ],
)
def test_an_enqueuer_neither_reads_nor_changes(
    login: Callable[..., psycopg.Connection[Any]], store: Store, asked: str
) -> None:
    store.add(a_job("t", args=SECRET))

    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        login("enqueuer").execute(asked.encode())
    assert "hunter2" not in str(refused.value)


def test_an_enqueuer_ties_nobody_elses_jobs_to_its_own(
    login: Callable[..., psycopg.Connection[Any]], store: Store
) -> None:
    blocked = store.add(a_job("theirs").after(store.add(), store.add()))
    connection = login("enqueuer")
    mine = enqueue(connection, a_job("mine"))
    edge = f'[{{"child": {blocked}, "parent": {mine.id}, "policy": "cancel"}}]'
    not_yet = edge.replace(str(blocked), str(mine.id + 1))
    lowered = f'[{{"child": {blocked}, "blocked_by": 1}}]'

    for edges, merged in [(edge, "[]"), (edge, lowered), ("[]", lowered), (not_yet, "[]")]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="of the transaction"):
            connection.execute(LINK, [edges, merged])

    assert store.job(blocked).blocked_by == 2


def test_nor_does_anybody_else_whatever_role_it_has_put_on(
    login: Callable[..., psycopg.Connection[Any]], store: Store
) -> None:
    one, other = store.add(), store.add()
    blocked = store.add(a_job("theirs").after(one, other))
    lowered = f'[{{"child": {blocked}, "blocked_by": 1}}]'
    connection = login("enqueuer", "worker")

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="of the transaction"):
        connection.execute(LINK, ["[]", lowered])

    assert store.job(blocked).blocked_by == 2


def test_a_child_of_a_savepoint_is_the_transactions_own(
    login: Callable[..., psycopg.Connection[Any]], store: Store
) -> None:
    parent = store.add()
    with login("enqueuer") as connection, connection.transaction():
        with connection.transaction():
            within = enqueue(connection, a_job("within").after(parent))
        with connection.transaction():
            enqueue(connection, a_job("grandchild").after(within))
        with connection.transaction(force_rollback=True):
            enqueue(connection, a_job("gone").after(parent))

    assert store.job(within).blocked_by == 1


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("run_at", "'infinity'"),
        ("run_at", "'-infinity'"),
        ("run_at", "'0044-03-15 BC'"),
        ("run_at", "'20000-01-01'"),
        ("enqueued_at", "'infinity'"),
        ("timeout_seconds", "'NaN'"),
        ("timeout_seconds", "'Infinity'"),
        ("timeout_seconds", "-1"),
        ("task", "E'two\\nlines'"),
        ("task", "E'name\\n'"),
        ("task", "repeat('t', 129)"),
        ("queue", "'#7'"),
        ("queue", "'@'"),
        ("queue", "E'\\x1b[2J'"),
        ("queue", "repeat('q', 9000)"),
        ("unique_key", "''"),
        ("unique_key", "repeat('k', 513)"),
        ("metadata", "'[1]'"),
        ("tags", "'{{a},{b}}'"),
        ("tags", "'{a,NULL}'"),
        ("state, blocked_by", "'available', 3"),
        ("state", "'running'"),
        ("state", "'completed'"),
    ],
)
def test_whoever_writes_a_row_gives_it_a_form(
    login: Callable[..., psycopg.Connection[Any]], store: Store, columns: str, values: str
) -> None:
    given = {"state": "'available'", "task": "'t'"}
    given |= dict(zip(columns.split(", "), values.split(", ", columns.count(",")), strict=True))
    row = f"INSERT INTO pgqueue.job ({', '.join(given)}) VALUES ({', '.join(given.values())})"

    for part in ("enqueuer", "worker"):
        with pytest.raises(psycopg.errors.CheckViolation):
            login(part).execute(row.encode())


@pytest.mark.parametrize("name", ["", "two words", "n" * 129])
def test_a_workflow_has_a_name_with_a_form(
    login: Callable[..., psycopg.Connection[Any]], name: str
) -> None:
    asked = "INSERT INTO pgqueue.workflow (name, created_at) VALUES (%s, %s)"
    with pytest.raises(psycopg.errors.CheckViolation):
        login("enqueuer").execute(asked.encode(), [name, "now"])
    with pytest.raises(psycopg.errors.CheckViolation):
        login("enqueuer").execute(asked.encode(), ["flow", "infinity"])


# A reader


def test_a_reader_reads_everything_and_changes_nothing(role: Role) -> None:
    assert permitted(role("reader"), DESCRIBED) == READS & {o.name for o in DESCRIBED} | ANYBODY


def test_a_reader_reads_arguments_in_the_view(
    login: Callable[..., psycopg.Connection[Any]], store: Store
) -> None:
    store.add(a_job(args=SECRET))
    store.bring("discarded", a_job(queue="q", args=SECRET))

    seen = login("reader").execute("SELECT args ->> 'password' FROM pgqueue.jobs").fetchall()

    assert seen == [("hunter2",), ("hunter2",)]


@pytest.mark.parametrize(
    "asked",
    [
        "SELECT pgqueue.enqueue('t')",
        "UPDATE pgqueue.worker SET running = 0",
        "DELETE FROM pgqueue.archive",
        "SELECT FROM pgqueue.job FOR KEY SHARE",
        "SELECT * FROM pgqueue.hold('{1}')",
        "SELECT nextval('pgqueue.job_id')",
    ],
)
def test_a_reader_changes_nothing(
    login: Callable[..., psycopg.Connection[Any]], store: Store, asked: str
) -> None:
    store.add()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login("reader").execute(asked.encode())


# A worker


def test_a_worker_carries_out_everything(role: Role) -> None:
    everything = {operation.name for operation in DESCRIBED}

    assert permitted(role("worker"), DESCRIBED) == everything - NOT_OURS - {"audited"}


@pytest.mark.parametrize("part", ["enqueuer", "worker"])
def test_who_acts_adds_to_the_audit_and_neither_reads_nor_changes_it(
    login: Callable[..., psycopg.Connection[Any]], store: Store, part: str
) -> None:
    store.do(audit("ann", "cancel", target="job 7"))
    connection = login(part)

    connection.execute("INSERT INTO pgqueue.audit (at, who, verb) VALUES (now(), 'bob', 'retry')")
    for asked in (
        "SELECT who FROM pgqueue.audit",
        "UPDATE pgqueue.audit SET who = 'bob'",
        "DELETE FROM pgqueue.audit",
        "TRUNCATE pgqueue.audit",
        "INSERT INTO pgqueue.audit (id, who, verb) OVERRIDING SYSTEM VALUE VALUES (0, 'x', 'y')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(asked.encode())
    assert [entry.who for entry in store.do(audited())] == ["bob", "ann"]


def test_a_worker_lets_go_what_is_old_in_the_audit_and_nothing_of_the_last_week(
    login: Callable[..., psycopg.Connection[Any]], store: Store
) -> None:
    now = datetime.now(UTC)
    for days in (0, 6, 8):
        store.do(audit("ann", f"before {days} days", now=now - timedelta(days=days)))

    asked = "SELECT pgqueue.forget_audit('infinity', 100)"
    assert login("worker").execute(asked).fetchall() == [(1,)]
    assert [entry.verb for entry in store.do(audited())] == ["before 6 days", "before 0 days"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login("enqueuer").execute(asked)


def test_a_worker_makes_and_drops_partitions_that_are_not_its_own(role: Role, store: Store) -> None:
    backend = PostgresBackend(role("worker"))
    theirs = Store(backend)
    theirs.prune(operations.Retention())
    done = theirs.bring("completed")
    theirs.passes(days=40)

    assert theirs.prune(operations.Retention()) == (6, 0)

    assert store.missing(done)
    backend.close()


@pytest.mark.parametrize(
    "asked",
    [
        "DROP TABLE pgqueue.job",
        "ALTER TABLE pgqueue.job ADD COLUMN mine text",
        "CREATE TABLE pgqueue.mine ()",
        "TRUNCATE pgqueue.job",
        "INSERT INTO pgqueue.migration VALUES ('9999')",
        "SELECT pgqueue.drop_partition('pgqueue.archive_completed_default')",
        "SELECT pgqueue.drop_partition('pgqueue.job')",
        "SELECT pgqueue.add_partition('completed; DROP TABLE pgqueue.job', 1, 2)",
    ],
)
def test_a_worker_leaves_the_schema_alone(
    login: Callable[..., psycopg.Connection[Any]], asked: str
) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)):
        login("worker").execute(asked.encode())


def test_a_worker_cannot_migrate(role: Role, store: Store) -> None:
    url = role("worker")

    with pytest.raises(Exception, match="permission denied"):
        migrations.migrate(url, to="base")

    assert store.add()


# Granting


def test_only_the_owner_grants(role: Role) -> None:
    url = role("worker", "reader", "enqueuer")
    backend = PostgresBackend(url)

    with pytest.raises(NotPermitted, match="only postgres, who owns the schema"):
        backend.execute(rights.grant({"reader": [None]}))
    backend.close()


@pytest.mark.parametrize("name", ["public", "nobody_here", "", "x; DROP TABLE pgqueue.job"])
def test_who_is_no_role_is_granted_nothing(backend: PostgresBackend, name: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedObject, match="there is no role"):
        backend.execute(rights.grant({"reader": [name]}))


@pytest.mark.parametrize("name", ['we"ird', "x; --", "UPPER", "ż ü", "%I", "${a}", "user"])
def test_any_name_of_a_role_will_do(postgres_url: str, name: str) -> None:
    with (
        a_role(postgres_url, "enqueuer", name=name) as role,
        psycopg.connect(as_role(postgres_url, role)) as connection,
    ):
        assert enqueue(connection, a_job()).created


def test_granting_twice_is_granting_once(backend: PostgresBackend, postgres_url: str) -> None:
    with a_role(postgres_url) as role:
        parts = {part: [role] for part in rights.PARTS}
        assert not all(right.held for right in backend.execute(rights.grant(parts, pretend=True)))
        for _ in range(2):
            assert all(right.held for right in backend.execute(rights.grant(parts)))


def test_who_is_stripped_may_do_nothing_more_than_is_given(
    backend: PostgresBackend, postgres_url: str
) -> None:
    with a_role(postgres_url, *rights.PARTS) as role:
        backend.execute(rights.grant({"reader": [role]}, stripped=[role]))
        reads = permitted(as_role(postgres_url, role), DESCRIBED)
        backend.execute(rights.grant({}, stripped=[role]))

        assert reads == READS & {o.name for o in DESCRIBED} | ANYBODY
        assert not permitted(as_role(postgres_url, role), DESCRIBED)


def test_a_part_that_a_role_cannot_play_says_what_is_missing(role: Role) -> None:
    backend = PostgresBackend(role())
    with pytest.raises(NotPermitted, match="pgqueue grant"):
        backend.execute(inspections.count())
    backend.close()


# The functions


def test_whoever_calls_a_function_with_its_owners_rights_was_granted_it(store: Store) -> None:
    with psycopg.connect(store.backend.url) as connection:  # type: ignore[attr-defined]
        functions = connection.execute(
            "SELECT proname, prosecdef, proconfig, has_function_privilege('public', oid, 'EXECUTE')"
            " FROM pg_proc WHERE pronamespace = 'pgqueue'::regnamespace"
        ).fetchall()

    assert {name for name, definer, *_ in functions if definer} == {
        "hold",
        "link",
        "enqueue_once",
        "enqueue_unique",
        "add_partition",
        "drop_partition",
        "forget_audit",
    }
    for name, definer, settings, everybody in functions:
        if name != "is_sound":  # asked for each row: a setting would cost more than it does
            assert settings[0] == "search_path=pg_catalog, pg_temp", name
        assert everybody is not definer, name


def test_the_function_does_what_the_files_do() -> None:
    """Edges are settled by enqueuers too, in a function; everything else that ends is by files."""
    last = [file.up for file in schema_files("postgres") if "FUNCTION pgqueue.link(" in file.up][-1]
    said = re.sub(r"\s+", " ", last)
    for name in ("settle", "archive"):
        text = re.sub(r"--[^\n]*", "", (folder("postgres") / f"parts/{name}.sql").read_text())
        text = re.sub(r"(?<!:):([a-z_]+)", r"\1", re.sub(r"\s+", " ", text)).strip().rstrip(";")
        assert f"FOR said IN {text} LOOP" in said, name


def test_a_role_is_quoted_where_the_sql_is_shown(
    backend: PostgresBackend, postgres_url: str
) -> None:
    with a_role(postgres_url, name='a"b') as role:
        said = backend.execute(rights.grant({"reader": [role]}, stripped=[role], pretend=True))
        with psycopg.connect(postgres_url, autocommit=True) as owner:
            for right in said:
                assert right.command.endswith(sql.Identifier(role).as_string(owner))
                owner.execute(right.command.encode())

        assert "count" in permitted(as_role(postgres_url, role), DESCRIBED)


def test_jobs_of_an_enqueuer_run(role: Role, store: Store) -> None:
    app = App(role("enqueuer"))
    parent = NewJob[Any]("parent")
    handles = app.enqueue([parent, a_job("child").after(parent)])
    app.close()

    assert store.work() == ["parent", "child"]
    assert {job.state for job in store.jobs(*handles)} == {State.COMPLETED}


async def test_a_reader_who_tries_to_act_is_told_what_to_be_granted(postgres_url: str) -> None:
    with a_role(postgres_url, "reader") as role:
        app = App(as_role(postgres_url, role))
        says = f"the role {role} may only read here; .* --worker .*`pgqueue grant`.* --enqueuer"
        with pytest.raises(NotPermitted, match=says):
            app.enqueue(a_job())
        with pytest.raises(NotPermitted, match=says):
            app.enqueue([a_job(), a_job(unique="k")])
        with pytest.raises(NotPermitted, match=says):
            await app.enqueue_async(a_job())
        with pytest.raises(NotPermitted, match=says):
            await app.execute_async(operations.cancel([7]))
        with pytest.raises(NotPermitted, match=says):
            app.execute(operations.pause("default"))
        await app.close_async()
        app.close()


def test_an_enqueuer_who_looks_or_acts_is_told_what_to_be_granted(postgres_url: str) -> None:
    with a_role(postgres_url, "enqueuer") as role:
        app = App(as_role(postgres_url, role))
        says = (
            f"permission denied .* the role {role} may only enqueue here; the schema's owner runs "
            f"`pgqueue grant` --reader {role} to look, --worker {role} to act"
        )
        for asked in (operations.pause("default"), inspections.count()):
            with pytest.raises(NotPermitted, match=says):
                app.execute(asked)
        app.close()


def test_a_worker_who_reads_the_audit_is_told_what_to_be_granted(postgres_url: str) -> None:
    with a_role(postgres_url, "worker") as role:
        app = App(as_role(postgres_url, role))
        with pytest.raises(NotPermitted, match=f"`pgqueue grant` --reader {role} to look"):
            app.execute(audited())
        app.close()
