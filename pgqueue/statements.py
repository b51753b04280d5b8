"""The only door to the statement files: finds them, reads their headers, turns them into the form
that a driver takes.

A statement file holds one operation: a header comment, then one or more statements. They run in
order, in one transaction; the answer is what each of them returns. ``then:`` names files whose
statements follow, the same for every verb that needs them. When one of those answers *true*, they
all run once more, in the same transaction (see sql/README.md). ``unless:`` names a file that is
asked first: when it answers, that is the answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pgqueue.errors import PgqueueError
from pgqueue.operations import Operation

T = TypeVar("T")

_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)
      | (?P<body>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>"[^"]*")
      | (?P<cast>::)
      | :(?P<param>[a-z_]+)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
# `pgqueue.job`, `pgqueue_job` where a store has no schemas, 'pgqueue' (the channel, the locks) and
# two commands; not the words of a message.
_SCHEMA = re.compile(
    r"\bpgqueue(?=\.)|\bpgqueue(?=_(?!local\.))|(?<=')pgqueue(?=')"
    r"|(?<=SCHEMA IF NOT EXISTS )pgqueue\b|(?<=LISTEN )pgqueue\b"
)
_SUFFIXES = {"redis": ".lua"}
_PLACE = "    --[[ its file ]]\n"
# How a driver wants its parameters: numbered as they come, or as they are written.
_NAMED = ("sqlite",)
# What a statement of such a store answers under the name of a parameter, `AS ":ids"`, those after
# it are given; what it calls `AS "tags[]"` is an array, which the store has as text.
_GIVES = re.compile(r'\bAS ":([a-z_]+)"')
_AGAIN = re.compile(r'\bAS (?:again\b|":again")')
_LISTS = re.compile(r'\bAS "[a-z_]+\[\]"')
_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\b")
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Step:
    """One SQL statement, with ``$1``, ``$2`` … in the order of *params*, or the names themselves.

    *gives*: what it answers is for the statements after it, under these names. *says_again*: it
    answers whether all that follows a file should run once more.
    """

    sql: str
    params: tuple[str, ...]
    gives: tuple[str, ...] = ()
    has_lists: bool = False
    writes: bool = True
    says_again: bool = False
    text: bytes = field(init=False, repr=False)
    """*sql* as a driver sends it, always the same object: it is looked up by its hash."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.sql.encode())

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.params]


@dataclass(frozen=True, slots=True)
class Statement:
    """One operation's file: its own steps, and those that follow and may repeat."""

    name: str
    steps: tuple[Step, ...]
    followed_by: tuple[Step, ...]
    repeats: bool = False
    """May what follows have to run again? Only where jobs end other than well."""
    remembers: tuple[str, ...] = ()
    """What one run finds for the next; the first has nothing there."""
    writes: bool = True
    """Does it change anything?"""
    unless: Step | None = None
    """Asked first, outside the transaction: its answer, if it has one, saves the rest."""
    atomic: bool = field(init=False)
    """Is it one SQL statement, which needs no transaction around it?"""

    def __post_init__(self) -> None:
        atomic = len(self.steps) + len(self.followed_by) == 1 and not self.unless
        object.__setattr__(self, "atomic", atomic)


@dataclass(frozen=True, slots=True)
class Script:
    """One operation's file in Lua, with what it uses in front.

    *settles*: it may leave something over, which `proceed` goes on with.
    """

    name: str
    text: str
    sha: str
    settles: bool


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One numbered schema file and the way back."""

    version: str
    name: str
    up: str
    down: str


def briefly(
    operation: Operation[T], statements: Mapping[str, Statement]
) -> tuple[Operation[T], Statement]:
    """*operation* in the fewest words there are for it, and the statement that takes them."""
    operation = operation.brief or operation
    return operation, statements[operation.name]


def folder(store: str) -> Path:
    """Where the files of *store* are: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    for root in (package / "_sql", package.parent / "sql"):
        if (root / store).is_dir():
            return root / store
    raise PgqueueError(f"pgqueue's statement files for {store} are missing: reinstall pgqueue")


def texts(store: str) -> dict[str, str]:
    """Every statement file of *store* as it stands, by name; ``room/name`` of those that only some
    stores have."""
    root, suffix = folder(store), _SUFFIXES.get(store, ".sql")
    paths = [path for path in sorted(root.rglob(f"*{suffix}")) if path.parent.name != "schema"]
    return {
        path.relative_to(root).with_suffix("").as_posix(): path.read_text("utf-8") for path in paths
    }


def in_schema(sql: str, schema: str) -> str:
    """*sql*, which is written for the schema ``pgqueue``, for *schema*.

    Raises ValueError when *schema* is not a plain lower-case name of at most 40 characters.
    """
    if not _SCHEMA_NAME.fullmatch(schema):
        raise ValueError(
            f"schema {schema!r} is not a plain name: lower-case letters, digits and _, at most 40"
        )
    if schema == "pgqueue":
        return sql
    return _SCHEMA.sub(schema, sql)


@cache
def load(store: str, schema: str = "pgqueue") -> Mapping[str, Statement]:
    """Every statement file of *store*, by name."""
    files = texts(store)
    named = store in _NAMED
    steps = {name: split(in_schema(text, schema), named=named) for name, text in files.items()}
    return {
        name: Statement(
            name,
            steps[name],
            tuple(step for then in _then(text) for step in steps[then]),
            repeats=len(_then(text)) > 1,
            remembers=_remembered(steps[name]),
            writes=any(step.writes for step in steps[name]),
            unless=next((steps[other][0] for other in _named("unless", text)), None),
        )
        for name, text in files.items()
    }


@cache
def load_scripts(store: str) -> Mapping[str, Script]:
    """Every verb of *store*, whose files are scripts, by name.

    A verb's file is the body of a function. ``uses:`` names files that come in front of it, and
    those they use; ``runs:`` other verbs that it calls.
    """
    files = texts(store)
    uses = {name: _named("uses", text) for name, text in files.items()}
    runs = {name: _named("runs", text) for name, text in files.items()}
    shared = {"frame", *(name for names in uses.values() for name in names)}
    before, after = files["frame"].split(_PLACE)
    head, (end, tail) = before[before.index("local function") :], after.split("\n", 1)
    scripts = {}
    for name in files.keys() - shared:
        front: list[str] = []
        for verb in (*runs[name], name):
            _in_order(uses[verb], uses, front)
        verbs = [f"{head.replace('verb', verb)}{files[verb]}{end}" for verb in runs[name]]
        parts = [*(files[used] for used in front), *verbs, f"{head}{files[name]}{end}", tail]
        text = "\n".join(parts)
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        scripts[name] = Script(name, text, sha, "settle" in front)
    return scripts


@cache
def schema_files(store: str) -> tuple[SchemaFile, ...]:
    """The schema files of *store*, in the order in which they are applied."""
    files = []
    for path in sorted((folder(store) / "schema").glob("*.sql")):
        if not path.name.endswith(".down.sql"):
            down = path.with_suffix(".down.sql")
            files.append(
                SchemaFile(
                    path.stem.partition("_")[0],
                    path.stem,
                    path.read_text("utf-8"),
                    down.read_text("utf-8"),
                )
            )
    return tuple(files)


def head(store: str) -> str:
    """The schema version that this release needs of *store*."""
    return schema_files(store)[-1].version


def _named(field: str, text: str) -> list[str]:
    """The files that a header names under *field*."""
    match = re.search(rf"^-- {field}: (.+)$", text, re.MULTILINE)
    return match[1].split(", ") if match else []


def _in_order(names: list[str], uses: Mapping[str, list[str]], front: list[str]) -> None:
    """Adds *names* to *front*, each after those that it uses itself."""
    for name in names:
        if name not in front:
            _in_order(uses[name], uses, front)
            front.append(name)


def _then(text: str) -> list[str]:
    return _named("then", text)


def _remembered(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The parameters that steps give to those before them."""
    given: set[str] = set()
    early: set[str] = set()
    for step in steps:
        early.update(name for name in step.params if name not in given)
        given.update(step.gives)
    return tuple(sorted(early & given))


def split(text: str, *, named: bool = False) -> tuple[Step, ...]:
    """Splits *text* at its semicolons; numbers its parameters, unless they stay *named*. Outside
    strings and comments."""
    steps: list[Step] = []
    sql: list[str] = []
    params: list[str] = []
    at = 0
    for token in _TOKEN.finditer(text):
        sql.append(text[at : token.start()])
        at = token.end()
        if name := token["param"]:
            if name not in params:
                params.append(name)
            sql.append(f":{name}" if named else f"${params.index(name) + 1}")
        elif token["end"]:
            steps.append(_step("".join(sql).strip(), params, named))
            sql, params = [], []
        elif not token["comment"]:
            sql.append(token[0])
    if "".join(sql).strip() or text[at:].strip():
        raise PgqueueError(f"a statement lacks its semicolon: {text[at:].strip()[:60]!r}")
    return tuple(steps)


def _step(sql: str, params: list[str], named: bool) -> Step:
    if not named:
        return Step(sql, tuple(params))
    return Step(
        sql,
        tuple(params),
        tuple(_GIVES.findall(sql)),
        bool(_LISTS.search(sql)),
        bool(_WRITES.search(sql)),
        bool(_AGAIN.search(sql)),
    )
