"""The rules of sql/README.md, checked; and the loader that is the only door to the files."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import pgqueue
from pgqueue import copying, inspections, operations, rights, statements
from pgqueue.errors import PgqueueError
from pgqueue.graphs import workflow
from pgqueue.operations import Operation, Retention
from pgqueue.statements import Statement, in_schema, load
from pgqueue.testing.conformance import PROFILE, a_job

PACKAGE = Path(pgqueue.__file__).parent
STORES = ["postgres", "sqlite"]
FILES = [path for store in STORES for path in sorted(statements.folder(store).glob("*.sql"))]
# What only some stores have: a folder each.
ROOMS = [path for store in STORES for path in sorted(statements.folder(store).glob("*/*.sql"))]
ROOMS = [path for path in ROOMS if path.parent.name != "schema"]
# What a store does in another way, and so has no file for, or one that others do not need.
ELSEWHERE = {
    "postgres": {
        "heard": "the server says what has happened",
        "own": "a database is somebody's; nothing is made in it without being asked for",
    },
    "sqlite": {
        "answering": "an answer is not lost on the way from a file",
        "calm": "a rescue is one short transaction on one's own machine",
        "direct": "nothing stands between it and its file",
        "listen": "nothing is sent: a session watches the file",
        "listening": "there is no connection that could go deaf",
        "present": "a lock of the operating system, beside the file",
        "replace": "a connection does not end without the process that has it",
        "rise": "a sleeper declares itself to nobody",
        "settings": "a connection is never shared",
        "sleep": "a sleeper declares itself to nobody",
        "wake": "every commit is seen by those who watch",
    },
}
# What the store itself puts in.
PROVIDED = {"postgres": set[str](), "sqlite": {"now", "present"}}
# What it has no use for.
UNUSED = {
    "postgres": set[str](),
    "sqlite": {"notify"},  # see wake
}
FIELDS = ["in", "out", "unless", "then", "walks", "trap"]
every_file = pytest.mark.parametrize(
    "path", [*FILES, *ROOMS], ids=lambda path: f"{path.parent.name}/{path.stem}"
)


def header(path: Path) -> str:
    """The comment with which *path* begins, without its dashes."""
    lines = path.read_text("utf-8").splitlines()
    end = next(n for n, line in enumerate(lines) if not line.startswith("--"))
    return "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines[:end])


def field(path: Path, name: str) -> str:
    """What the header says under *name*."""
    found = re.search(rf"^{name}:(.*(?:\n(?![a-z]+:).*)*)", header(path), re.MULTILINE)
    return found[1].strip() if found else ""


def body(path: Path) -> str:
    """*path* without its comments."""
    return re.sub(r"--[^\n]*", "", path.read_text("utf-8"))


def loaded(path: Path) -> Statement:
    """What the loader has made of *path*."""
    root = next(root for store in STORES if (root := statements.folder(store)) in path.parents)
    return load(root.name)[path.relative_to(root).with_suffix("").as_posix()]


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
        told += field(path.with_name(f"{other}.sql"), "in")
    steps = loaded(path).steps
    own = {name for step in steps for name in step.params}
    own -= {name for step in steps for name in step.gives}

    assert own <= set(re.findall(r"\w+", told))


@every_file
def test_what_follows_exists(path: Path) -> None:
    for part in ("unless", "then"):
        for name in filter(None, field(path, part).split(", ")):
            assert path.with_name(f"{name}.sql") in FILES


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
    if path.parent.name == "sqlite":
        return
    assert re.findall(r"(?<!:):[a-z_]+(?!\w|::)", body(path)) == []


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
    if path.parent.name == "sqlite":
        return  # its clock is put in
    assert len(re.findall(r":now\b", text)) == len(
        re.findall(r"coalesce\(:now::timestamptz, clock_timestamp\(\)\)", text)
    )


@every_file
def test_what_one_statement_leaves_to_the_next_ends_with_the_transaction(path: Path) -> None:
    for arguments in calls("set_config", body(path)):
        assert arguments.endswith(", true"), arguments


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
    everywhere = {path.stem for path in FILES}

    assert {path.stem for path in FILES if path.parent.name == store} == (
        everywhere - set(ELSEWHERE[store])
    )
    assert set(ELSEWHERE[store]) <= everywhere


# Operations and files


CLAIMED = (7, 0, 1, 1, "task", "{}", 10, None, 0.0, 0, None, None, None, None, "default")
GIVEN: dict[str, Any] = {
    "ids": [1],
    "job": 1,
    "jobs": [],
    "lease": 2,
    "leases": [],
    "limit": 3,
    "name": "leader",
    "profile": PROFILE,
    "queue": "q",
    "retention": Retention(),
    "term": timedelta(seconds=30),
    "topics": ["q"],
    "worker": 1,
    "graft.job": operations.recall(1, 2).decode([[CLAIMED]])[0],
}


def described() -> Iterator[Operation[Any]]:
    """What each verb of the port describes."""
    for jobs in ([a_job()], [a_job(), a_job()]):
        asked = operations.enqueue(jobs).send(None)
        assert isinstance(asked, Operation)
        assert asked.brief is not None
        yield asked
        yield asked.brief
    yield operations.enqueue([a_job(unique="k")]).send(None)
    plan = operations.enqueue([a_job(), a_job().after(7)])
    yield plan.send(None)
    plan.send({7})
    yield plan.send([1, 2])
    yield operations.begin(workflow("name", [a_job()]))
    for module in (operations, inspections):
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
COPYING = [copying.origin(), copying.restore("source", [], [])]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("operation", [*DESCRIBED, *COPYING], ids=lambda operation: operation.name)
def test_an_operation_gives_its_file_what_it_needs_and_no_more(
    store: str, operation: Operation[Any]
) -> None:
    if operation.name in ELSEWHERE[store]:
        return
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_belongs_to_a_verb(path: Path) -> None:
    verbs = {operation.name for operation in [*DESCRIBED, *COPYING]}
    followed = {
        name
        for other in FILES
        for part in ("unless", "then")
        for name in field(other, part).split(", ")
    }
    sessions = [
        node.value
        for backend in (PACKAGE / "backends" / path.parent.name).glob("*.py")
        for node in ast.walk(ast.parse(backend.read_text("utf-8")))
        if isinstance(node, ast.Constant)
    ]

    assert path.stem in verbs | followed or path.stem in sessions


# The only door

SQL = re.compile(
    r"\s*(?:SELECT|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|WITH\s+\w+\s+AS|MERGE|CREATE|ALTER|DROP"
    r"|TRUNCATE|LISTEN|NOTIFY|LOCK|VACUUM|ANALYZE|EXPLAIN|COPY|CALL|DO|GRANT|SET|BEGIN|COMMIT|ROLLBACK)\b"
)
OURS = re.compile(r"SET [a-z_]+ = |BEGIN\b|COMMIT\Z|\s*COMMIT;")
MODULES = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "demo"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_there_is_no_sql_in_python(module: Path) -> None:
    """But for a transaction's borders and a session's settings. The demo plays an application."""
    tree = ast.parse(module.read_text("utf-8"))
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


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_executed_that_was_put_together_here(module: Path) -> None:
    for call in ast.walk(ast.parse(module.read_text("utf-8"))):
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


# The loader


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Statement]:
    """Loads one file of a store that has only these."""

    def write(name: str, **files: str) -> Statement:
        for stem, text in files.items():
            (tmp_path / f"{stem}.sql").write_text(text)
        return load(str(tmp_path))[name]

    monkeypatch.setattr(statements, "folder", Path)
    return write


def test_parameters_are_numbered_as_they_come(written: Callable[..., Statement]) -> None:
    [step] = written("a", a="SELECT :b::int, :a::text, :b::int;").steps

    assert step.sql == "SELECT $1::int, $2::text, $1::int"
    assert step.params == ("b", "a")
    assert step.bind({"a": "A", "b": "B", "c": "C"}) == ["B", "A"]


def test_each_statement_has_its_own_numbers(written: Callable[..., Statement]) -> None:
    first, second = written("a", a="SELECT :a::int, :b::int;\nSELECT :b::int;\n").steps

    assert (first.params, second.params) == (("a", "b"), ("b",))
    assert second.sql == "SELECT $1::int"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ';'",
        "SELECT 'it''s; :a'",
        "SELECT ':a', a::text",
        "DO $$ BEGIN; :a; END $$",
        "DO $x$ SELECT $$;$$; ':a' $x$",
        "SELECT '{\"a\": :b}'",
        "SELECT '--', 1",
    ],
)
def test_what_is_in_quotes_is_left_alone(written: Callable[..., Statement], text: str) -> None:
    [step] = written("a", a=f"{text};").steps

    assert (step.sql, step.params) == (text, ())


def test_comments_are_not_sent(written: Callable[..., Statement]) -> None:
    text = "-- it's :a; here\nSELECT 1 -- don't; :b\n+ 2;\n-- the end: it's"
    [step] = written("a", a=text).steps

    assert step.params == ()
    assert re.sub(r"\s+", " ", step.sql) == "SELECT 1 + 2"


def test_a_statement_ends_with_a_semicolon(written: Callable[..., Statement]) -> None:
    with pytest.raises(PgqueueError, match="lacks its semicolon: 'SELECT 2'"):
        written("a", a="SELECT 1;\nSELECT 2")


def test_what_is_asked_first_is_named_in_the_header(written: Callable[..., Statement]) -> None:
    files = {"a": "-- a: does\n-- unless: b\nSELECT 1;", "b": "-- b: asks\nSELECT :x::int;"}
    statement = written("a", **files)

    assert statement.unless is not None
    assert statement.unless.sql == "SELECT $1::int"
    assert not statement.atomic
    assert written("b", **files).unless is None


def test_what_follows_is_named_in_the_header(written: Callable[..., Statement]) -> None:
    files = {
        "a": "-- a: does\n-- then: b, c\nSELECT 1;\nSELECT 2;",
        "b": "SELECT :x::int;",
        "c": "SELECT 4;\nSELECT 5;",
    }
    statement = written("a", **files)

    assert [step.sql for step in statement.steps] == ["SELECT 1", "SELECT 2"]
    assert [step.sql for step in statement.followed_by] == [
        "SELECT $1::int",
        "SELECT 4",
        "SELECT 5",
    ]
    assert not statement.atomic
    assert statement.repeats


@pytest.mark.parametrize(("text", "atomic"), [("SELECT 1;", True), ("SELECT 1; SELECT 2;", False)])
def test_one_statement_alone_needs_no_transaction(
    written: Callable[..., Statement], text: str, atomic: bool
) -> None:
    assert written("a", a=text).atomic is atomic


def test_a_store_without_files_is_an_error() -> None:
    with pytest.raises(PgqueueError, match="reinstall"):
        statements.folder("oracle")


@pytest.mark.parametrize("store", STORES)
def test_schema_files_are_in_order_and_record_themselves(store: str) -> None:
    files = statements.schema_files(store)

    assert [file.version for file in files] == [f"{n:04}" for n in range(1, len(files) + 1)]
    for file in files:
        assert file.name.startswith(f"{file.version}_")
        last = file.up.strip().splitlines()[-1]
        table = {"postgres": "pgqueue.migration", "sqlite": "pgqueue_migration"}[store]
        assert last == f"INSERT INTO {table} (version) VALUES ('{file.version}');"
