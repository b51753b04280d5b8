"""The rules of sql/README.md, checked."""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pgqueue
from pgqueue import copying, operations, statements
from pgqueue.copying.windows import keep_windows, windows
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.graphs import workflow
from pgqueue.jobs.job import State
from pgqueue.jobs.limits import Limits
from pgqueue.jobs.retention import Retention
from pgqueue.jobs.unique import Unique
from pgqueue.operations import (
    Operation,
    auditing,
    browsing,
    counting,
    inspections,
    rights,
    tallying,
)
from pgqueue.statements.files import in_schema, load
from pgqueue.statements.sql import Statement
from pgqueue.testing.conformance import NOON, PROFILE, a_job
from tests.rules import of_each

PACKAGE = Path(pgqueue.__file__).parent
STORES = ["postgres", "sqlite"]
FILES = [
    path
    for store in STORES
    for path in sorted(statements.folder(store).rglob("*.sql"))
    if path.parent.name not in ("schema", "shared")
]
# What only some stores have: roles, the doctor's questions, what Django migrates and flushes.
ONLY_SOME = ("rights", "doctor", "django")
# What a store does in another way, and so has no file for, or one that others do not need.
ELSEWHERE = {
    "postgres": {
        "session/topic_marks": "the server says what has happened",
        "session/is_dedicated": "nothing is made in a database without being asked for",
        "session/drawn": "a sequence is never rolled back",
    },
    "sqlite": {
        "purge_day": "there are no days that could be dropped",
        "session/idle_since": "an answer is not lost on the way from a file",
        "parts/all_workers_present": "a rescue is one short transaction on one's own machine",
        "session/is_direct": "nothing stands between it and its file",
        "session/listen": "nothing is sent: a session watches the file",
        "session/listening": "there is no connection that could go deaf",
        "session/hurried": "no two operations are sent together",
        "hand_over": "no two operations are sent together",
        "session/quiet": "no transaction has a second phase",
        "door": "its one driver is Python's own",
        "session/encoding": "all text is UTF-8",
        "session/time_limit": "a statement takes the time it takes",
        "session/reading": "whoever reads is in nobody's way",
        "session/present": "a lock of the operating system, beside the file",
        "session/replace": "a connection does not end without the process that has it",
        "session/unsubscribe": "a sleeper declares itself to nobody",
        "session/settings": "a connection is never shared",
        "session/subscribe": "a sleeper declares itself to nobody",
        "wake": "every commit is seen by those who watch",
    },
}
# What the store itself puts in.
PROVIDED = {"postgres": set[str](), "sqlite": {"now", "place", "present"}}
# What it has no use for.
UNUSED = {
    # keys have an order of their own, windows of Redis that of their instants
    "postgres": {"last_at"},
    # the same; see wake; no job that ends waits for its children; nobody else holds a row; all is
    # counted in one look
    "sqlite": {"last_at", "notify", "ends", "gone", "counting"},
}
FIELDS = ["in", "out", "unless", "behind", "then", "walks", "trap"]
every_file = of_each(FILES, lambda path: f"{store_of(path)}/{name_of(path)}")


def store_of(path: Path) -> str:
    """The store whose file *path* is."""
    return next(store for store in STORES if statements.folder(store) in path.parents)


def name_of(path: Path) -> str:
    """How the loader calls *path*: its name, and before it its room, if it is in one."""
    return path.relative_to(statements.folder(store_of(path))).with_suffix("").as_posix()


@cache
def header(path: Path) -> str:
    """The comment with which *path* begins, without its dashes."""
    lines = path.read_text("utf-8").splitlines()
    end = next(n for n, line in enumerate(lines) if not line.startswith("--"))
    return "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines[:end])


def field(path: Path, name: str) -> str:
    """What the header says under *name*."""
    found = re.search(rf"^{name}:(.*(?:\n(?![a-z]+:).*)*)", header(path), re.MULTILINE)
    return found[1].strip() if found else ""


@cache
def body(path: Path) -> str:
    """*path* without its comments."""
    return re.sub(r"--[^\n]*", "", path.read_text("utf-8"))


def loaded(path: Path) -> Statement:
    """What the loader has made of *path*."""
    return load(store_of(path))[name_of(path)]


def params(statement: Statement) -> set[str]:
    """All that *statement* and what follows it need."""
    return {name for step in (*statement.steps, *statement.followed_by) for name in step.params}


# Headers


@every_file
def test_a_header_begins_with_the_files_name_and_a_promise(path: Path) -> None:
    name, _, promise = header(path).partition("\n")[0].partition(": ")

    assert name == path.stem
    assert len(promise) > 15


@every_file
def test_a_header_says_what_goes_in_and_what_comes_out(path: Path) -> None:
    assert field(path, "in")
    assert field(path, "out")


@every_file
def test_a_headers_fields_are_known_and_in_order(path: Path) -> None:
    named = re.findall(r"^([a-z]+):", header(path), re.MULTILINE)
    named = [name for name in named if name != path.stem]

    assert named == [name for name in FIELDS if name in named]


@every_file
def test_a_header_names_every_parameter(path: Path) -> None:
    told = field(path, "in")
    for other in re.findall(r"as for (\w+)", told):
        told += field(statements.folder(store_of(path)) / f"{other}.sql", "in")
    steps = loaded(path).steps
    own = {name for step in steps for name in step.params}
    own -= {name for step in steps for name in step.gives}

    assert own <= set(re.findall(r"\w+", told))


@pytest.mark.parametrize("store", STORES)
def test_a_shared_text_is_included_more_than_once(store: str) -> None:
    shared = sorted((statements.folder(store) / "shared").iterdir())
    included = Counter(
        name
        for path in (*filter(lambda path: store_of(path) == store, FILES), *shared)
        for name in re.findall(r"-- include: (\w+)", path.read_text("utf-8"))
    )

    assert shared
    assert {path.stem for path in shared} == {name for name, count in included.items() if count > 1}
    for path in shared:
        assert header(path).startswith(f"{path.stem}: ")


@every_file
def test_what_follows_exists(path: Path) -> None:
    for part in ("unless", "then"):
        for name in filter(None, field(path, part).split(", ")):
            assert statements.folder(store_of(path)) / f"{name}.sql" in FILES


# Statements


@every_file
def test_no_parameter_is_in_quotes(path: Path) -> None:
    """There it would be text, and nobody would notice."""
    quoted = re.finditer(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", body(path), re.DOTALL)

    assert not [text[0] for text in quoted if re.search(r"(?<!:):[a-z_]", text[0])]


@every_file
def test_every_parameter_has_a_type(path: Path) -> None:
    """Which one it would get otherwise depends on the place where it stands first. SQLite's have
    that of their value."""
    if store_of(path) == "sqlite":
        return
    assert re.findall(r"(?<!:):[a-z_]+(?!\w|::| AS text\))", body(path)) == []


@every_file
def test_a_state_is_a_literal(path: Path) -> None:
    """A partial index serves only a predicate that the planner can read; `list` is no hot path."""
    compared = re.findall(r"state\s*(?:=|<>|IN|<|>)\s*(?:ANY\s*)?\(?\s*:\w+", body(path))

    assert path.stem == "list" or not compared


@every_file
def test_time_is_the_databases_unless_it_is_given(path: Path) -> None:
    """now() is the instant at which the transaction began."""
    text = body(path)

    assert not re.search(r"\bnow\(\)|, 'now'\)|current_timestamp|localtime", text, re.IGNORECASE)
    if store_of(path) == "sqlite":
        return  # its clock is put in
    assert len(re.findall(r":now\b", text)) == len(
        re.findall(r"coalesce\(:now::timestamptz, clock_timestamp\(\)\)", text)
    )


@every_file
def test_what_one_statement_leaves_to_the_next_ends_with_the_transaction(path: Path) -> None:
    """But for how numbers are written, on a session that has been found to be ours."""
    for arguments in calls("set_config", body(path)):
        ours = path.name == "is_direct.sql" and "extra_float_digits" in arguments
        assert arguments.endswith(", true") or ours, arguments


def calls(function: str, sql: str) -> Iterator[str]:
    """The arguments of each call of *function*."""
    for found in re.finditer(rf"\b{function}\(", sql):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        yield sql[found.end() : end - 1]


@pytest.mark.parametrize("store", STORES)
def test_a_parameter_is_given_by_the_caller_the_store_or_a_statement_before(store: str) -> None:
    verbs = {operation.name: set(operation.params) for operation in DESCRIBED}
    for statement in load(store).values():
        known = verbs.get(statement.name)
        if known is None:
            continue
        known = known | PROVIDED[store] | set(statement.remembers)
        for step in (*statement.steps, *statement.followed_by):
            assert set(step.params) <= known, (statement.name, step.sql)
            known |= set(step.gives)


@pytest.mark.parametrize("store", STORES)
def test_all_stores_have_the_same_files(store: str) -> None:
    everywhere = {name_of(path) for path in FILES if path.parent.name not in ONLY_SOME}

    assert {
        name_of(path)
        for path in FILES
        if store_of(path) == store and path.parent.name not in ONLY_SOME
    } == (everywhere - set(ELSEWHERE[store]))
    assert set(ELSEWHERE[store]) <= everywhere


# Operations and files


CLAIMED = (7, 0, 1, 1, "task", "{}", 10, None, 0.0, 0, None, None, None, None, "default", "", None)
GIVEN: dict[str, Any] = {
    "ends": operations.complete([]),
    "filter": Filter(),
    "older": timedelta(days=1),
    "states": [State.COMPLETED],
    "ids": [1],
    "job": 1,
    "jobs": [],
    "lease": 2,
    "leases": [],
    "key": "k",
    "limit": 3,
    "limits": Limits(),
    "limit_key.limits": None,
    "name": "leader",
    "profile": PROFILE,
    "queue": "q",
    "queues": ["q"],
    "retention": Retention(),
    "running": 1,
    "term": timedelta(seconds=30),
    "topics": ["q"],
    "worker": 1,
    "enqueue_dated.job": a_job(),
    "enqueue_plain.job": a_job(),
    "door.job": a_job(),
    "writes": [],
    "names": ["s"],
    "rows": [],
    "gone": [],
    "since": NOON,
    "until": NOON,
    "fold.before": NOON,
    "who": "ann",
    "verb": "cancel",
    "advances": [],
    "workers": [1],
    "asked": "quiet",
    "instants": [],
    "record.firings": [],
    "graft.job": operations.recall(1, 2).decode([[CLAIMED]])[0],
}


def described() -> Iterator[Operation[Any]]:
    """What each verb of the port describes."""
    for jobs in ([a_job()], [a_job(), a_job()]):
        asked = operations.enqueue(jobs).send(None)
        assert isinstance(asked, Operation)
        assert asked.shortcut is not None
        yield asked
        yield asked.shortcut
    yield operations.enqueue([a_job(unique="k")]).send(None)
    yield operations.enqueue([a_job().options(unique=Unique(key="k", until=60))]).send(None)
    plan = operations.enqueue([a_job(), a_job().after(7)])
    yield plan.send(None)
    plan.send({7})
    yield plan.send([1, 2])
    yield operations.begin(workflow("name", [a_job()]))
    for module in (operations, inspections, counting, browsing, tallying, auditing):
        for name, verb in vars(module).items():
            signature = inspect.signature(verb) if inspect.isfunction(verb) else None
            if signature is None or name.startswith("_"):
                continue
            if not verb.__module__.startswith(module.__name__):
                continue
            if str(signature.return_annotation).startswith("Operation[") and name != "begin":
                asked = [p.name for p in signature.parameters.values() if p.default is p.empty]
                yield verb(**{p: GIVEN.get(f"{name}.{p}", GIVEN.get(p)) for p in asked})


DESCRIBED = list(described())
# What `pgqueue copy` does, in the name of the schema's owner.
COPYING = [
    copying.copied("a store", [1]),
    copying.store_id(),
    copying.restore("source", [], []),
    windows(),
    keep_windows("source", []),
]


@of_each(
    [
        (store, operation)
        for store in STORES
        for operation in [*DESCRIBED, *COPYING]
        if operation.name not in ELSEWHERE[store]
    ]
)
def test_an_operation_gives_its_file_what_it_needs_and_no_more(
    asked: tuple[str, Operation[Any]],
) -> None:
    store, operation = asked
    statement = load(store)[operation.name]
    own = {name for step in (*statement.steps, *statement.followed_by) for name in step.gives}

    assert set(operation.params) - PROVIDED[store] - UNUSED[store] == (
        params(statement) - own - PROVIDED[store]
    )


@pytest.mark.parametrize("operation", [rights.grant({})], ids=lambda operation: operation.name)
def test_so_does_an_operation_that_only_some_stores_have(operation: Operation[Any]) -> None:
    stores = [store for store in STORES if operation.name in load(store)]
    assert stores
    for store in stores:
        assert set(operation.params) == params(load(store)[operation.name])


@pytest.mark.parametrize("store", STORES)
def test_every_file_belongs_to_a_verb(store: str) -> None:
    verbs = {operation.name for operation in [*DESCRIBED, *COPYING]}
    followed = {
        name
        for other in FILES
        for part in ("unless", "then")
        for name in field(other, part).split(", ")
    }
    sessions = {
        node.value
        for folder in (PACKAGE / "backends" / store, PACKAGE / "dashboard")
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    files = {
        name_of(path)
        for path in FILES
        if store_of(path) == store and path.parent.name not in ONLY_SOME
    }

    assert files - verbs - followed - sessions == set()


# The only door

SQL = re.compile(
    r"\s*(?:SELECT|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|WITH\s+\w+\s+AS|MERGE|CREATE|ALTER|DROP"
    r"|TRUNCATE|LISTEN|NOTIFY|LOCK|VACUUM|ANALYZE|EXPLAIN|COPY|CALL|DO|GRANT|SET|BEGIN|COMMIT|ROLLBACK)\b"
)
OURS = re.compile(r"SET [a-z_]+ = |ROLLBACK TO |ROLLBACK\Z|BEGIN\b|COMMIT\Z|\s*COMMIT;")
MODULES = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "demo"]
every_module = of_each(MODULES)


@cache
def parsed(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"))


@every_module
def test_there_is_no_sql_in_python(module: Path) -> None:
    """But for a transaction's borders and a session's settings. The demo plays an application."""
    tree = parsed(module)
    sql = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SQL.match(node.value)
        and not OURS.match(node.value)
        and not _is_docstring(tree, node)
    ]
    assert sql == []


@every_module
def test_nothing_is_executed_that_was_put_together_here(module: Path) -> None:
    for call in ast.walk(parsed(module)):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in ("execute", "executemany", "copy", "sql", "SQL")
            and call.args
        ):
            parts = [
                node
                for node in ast.walk(call.args[0])
                if isinstance(node, ast.JoinedStr | ast.BinOp)
            ]
            assert not parts, ast.unparse(call)


def _is_docstring(tree: ast.AST, node: ast.Constant) -> bool:
    return any(
        isinstance(scope, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and scope.body
        and isinstance(scope.body[0], ast.Expr)
        and scope.body[0].value is node
        for scope in ast.walk(tree)
    )


# What a session's settings must not change


@pytest.mark.parametrize("store", STORES)
def test_what_is_sent_is_ascii(store: str) -> None:
    """In a database of another encoding, or from a client of one, all else is refused; psql sends
    a schema file's comments, too."""
    for statement in load(store).values():
        for step in (*statement.steps, *statement.followed_by):
            assert step.sql.isascii(), statement.name
    for file in statements.schema_files(store):
        assert file.up.isascii()
        assert file.down.isascii()


def test_no_text_has_a_backslash() -> None:
    """It means something else without `standard_conforming_strings`. What 0001 has, 0004
    replaces."""
    for statement in load("postgres").values():
        for step in statement.steps:
            assert "\\" not in step.sql, statement.name
    for file in statements.schema_files("postgres")[1:]:
        assert "\\" not in file.up, file.name


def test_no_instant_becomes_text_as_a_session_likes_it() -> None:
    """`DateStyle` and `TimeZone` say how an instant is written, and not always in a way that reads
    back as the same. JSON and seconds since the epoch are the same for everybody."""
    is_text = re.compile(
        r"(?:_at|_until|_change|_start|instant|clock_timestamp\(\)\)?|\bnow\(\)|to_timestamp\([^)]*\))"
        r"::(?:text|date)\b|current_setting\([^)]*\)::timestamptz"
    )
    for name, text in statements.texts("postgres").items():
        assert not is_text.search(text), name
    for file in statements.schema_files("postgres"):
        assert not is_text.search(file.up), file.name


# Another schema


@every_file
def test_another_schemas_name_is_put_in_everywhere(path: Path) -> None:
    """In SQLite it is what the tables' names begin with."""
    sql = in_schema(path.read_text("utf-8"), "other")
    text = re.sub(r"--[^\n]*", "", sql)

    assert "pgqueue" not in text.replace("pgqueue_local.", "")
    assert text.count("other") == body(path).replace("pgqueue_local.", "").count("pgqueue")


@pytest.mark.parametrize("store", STORES)
def test_a_schema_files_messages_still_say_who_speaks(store: str) -> None:
    for file in statements.schema_files(store):
        messages = re.findall(r"RAISE EXCEPTION '(\w+):", file.up)
        for sql in (in_schema(file.up, "other"), in_schema(file.down, "other")):
            assert not re.search(
                r"pgqueue\.|^[^-\n]*pgqueue_(?!local\.)|'pgqueue'|SCHEMA IF NOT EXISTS pgqueue",
                sql,
                re.MULTILINE,
            )
        assert re.findall(r"RAISE EXCEPTION '(\w+):", in_schema(file.up, "other")) == messages
        assert set(messages) <= {"pgqueue"}


def test_the_schema_itself_is_left_as_it_is() -> None:
    assert in_schema("SELECT 'pgqueue' FROM pgqueue.job", "pgqueue") == (
        "SELECT 'pgqueue' FROM pgqueue.job"
    )


@pytest.mark.parametrize(
    "name", ["", "Jobs", "1jobs", "a-b", "a b", 'a"b', "a;b", "ż", "x" * 41, "a.b"]
)
def test_a_schemas_name_is_plain(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain name"):
        in_schema("SELECT 1", name)


# The schema's files


@pytest.mark.parametrize("store", STORES)
def test_schema_files_are_in_order_and_record_themselves(store: str) -> None:
    files = statements.schema_files(store)

    assert [file.version for file in files] == [f"{n:04}" for n in range(1, len(files) + 1)]
    for file in files:
        assert file.name.startswith(f"{file.version}_")
        last = file.up.strip().splitlines()[-1]
        table = {"postgres": "pgqueue.migration", "sqlite": "pgqueue_migration"}[store]
        assert last == f"INSERT INTO {table} (version) VALUES ('{file.version}');"


# Other drivers


@of_each([path for path in FILES if store_of(path) == "postgres"])
def test_each_parameter_of_postgres_has_a_cast(path: Path) -> None:
    """So a driver that asks the server for its type can be told to send text."""
    for parameter in re.finditer(r"(?<![:\w]):([a-z_]+)\b(.{0,8})", body(path)):
        assert parameter[2].startswith(("::", " AS text"))
