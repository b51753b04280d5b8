"""The only door to the statement files: finds them, reads their headers, turns them into the form
that a driver takes.

A statement file holds one operation: a header comment, then one or more statements. They run in
order, in one transaction; the answer is what each of them returns. ``then:`` names files whose
statements follow, shared by several verbs. When one of those answers *true*, they all run once
more, in the same transaction (see sql/README.md). ``unless:`` names a file that is asked first:
when it returns rows, they are the answer, and nothing else runs. ``behind:`` names files whose
statements come first. ``-- include: NAME``, a line of its own, stands for the text of
``shared/NAME``, which may include others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pgqueue.errors import PgqueueError
from pgqueue.statements.lua import Script
from pgqueue.statements.sql import Paramstyle, Statement, Step, split

# What is renamed for another schema: `pgqueue.job` and two commands, where it is an identifier;
# `pgqueue_job` where a store has no schemas, and 'pgqueue' (the channel, the locks), where it is
# text; not the word in a message.
_SCHEMA = re.compile(
    r"(?P<identifier>\bpgqueue(?=\.)|(?<=SCHEMA IF NOT EXISTS )pgqueue\b|(?<=LISTEN )pgqueue\b)"
    r"|\bpgqueue(?=_(?!local\.))|(?<=')pgqueue(?=')"
)
_INCLUDE = re.compile(r"^ *-- include: (\w+)$", re.MULTILINE)
_SUFFIXES = {"redis": ".lua"}
_PLACE = "    --[[ its file ]]\n"
# How pgqueue's own drivers of a store write parameters; the others' are numbered, $1, $2 ….
_PARAMSTYLES: dict[str, Paramstyle] = {"sqlite": "named"}
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One numbered schema file, and the file that undoes it."""

    version: str
    name: str
    up: str
    down: str


def folder(store: str) -> Path:
    """Return where *store*'s files are: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parents[1]
    for root in (package / "_sql", package.parent / "sql"):
        if (root / store).is_dir():
            return root / store
    raise PgqueueError(f"pgqueue's statement files for {store} are missing: reinstall pgqueue")


def texts(store: str) -> dict[str, str]:
    """Return every statement file of *store*, with what it includes, by name.

    Those in a folder, which are no verbs of every store, go by ``folder/name``.
    """
    root, suffix = folder(store), _SUFFIXES.get(store, ".sql")

    def included(found: re.Match[str]) -> str:
        return with_shared(root / "shared" / f"{found[1]}{suffix}").rstrip("\n")

    def with_shared(path: Path) -> str:
        return _INCLUDE.sub(included, path.read_text("utf-8"))

    return {
        path.relative_to(root).with_suffix("").as_posix(): with_shared(path)
        for path in sorted(root.rglob(f"*{suffix}"))
        if path.parent.name not in ("schema", "shared")
    }


def names(store: str) -> frozenset[str]:
    """Return the names of *store*'s statement files; none for a store from another package."""
    try:
        return frozenset(texts(store))
    except PgqueueError:
        return frozenset()


def in_schema(sql: str, schema: str) -> str:
    """Return *sql*, which is written for the schema ``pgqueue``, rewritten for *schema*.

    Raises ValueError when *schema* is not a plain lower-case name of at most 40 characters.
    """
    if not _SCHEMA_NAME.fullmatch(schema):
        raise ValueError(
            f"schema {schema!r} is not a plain name: lower-case letters, digits and _, at most 40"
        )
    if schema == "pgqueue":
        return sql
    # In quotes, as it may be a word of SQL's: "user", "order". All in one pass: the name itself may
    # begin with pgqueue_.
    return _SCHEMA.sub(lambda found: f'"{schema}"' if found["identifier"] else schema, sql)


@cache
def load(
    store: str, schema: str = "pgqueue", paramstyle: Paramstyle | None = None
) -> Mapping[str, Statement]:
    """Return every statement file of *store*, read and split, by name.

    *paramstyle*: for a driver that is not pgqueue's own; its parameters are texts.
    """
    files = texts(store)
    style, as_text = paramstyle or _PARAMSTYLES.get(store, "numeric_dollar"), bool(paramstyle)
    own = {
        name: split(in_schema(text, schema), style, as_text=as_text) for name, text in files.items()
    }
    steps = {
        name: tuple(step for each in (*_named("behind", text), name) for step in own[each])
        for name, text in files.items()
    }
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
    """Return every verb of *store*, whose files are Lua, as a whole script, by name.

    A verb's file is the body of a function. In its header, ``uses:`` names files to put in front of
    it, with those they use themselves; ``runs:`` other verbs that it calls; ``full:`` lets it run
    when the server's memory is full.
    """
    files = texts(store)
    uses = {name: _named("uses", text) for name, text in files.items()}
    runs = {name: _named("runs", text) for name, text in files.items()}
    shared = {"lib/frame", *(name for names in uses.values() for name in names)}
    before, after = files["lib/frame"].split(_PLACE)
    head, (end, tail) = before[before.index("local function") :], after.split("\n", 1)
    scripts = {}
    for name in files.keys() - shared:
        front: list[str] = []
        for verb in (*runs[name], name):
            _in_order(uses[verb], uses, front)
        verbs = [
            f"{head.replace('verb', verb.rpartition('/')[2])}{files[verb]}{end}"
            for verb in runs[name]
        ]
        own = f"{head}{files[name]}{end}"
        full = ["even_if_full()"] if _named("full", files[name]) else []
        parts = [*(files[used] for used in front), *verbs, own, *full, tail]
        text = "\n".join(parts)
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        scripts[name] = Script(name, text, sha, "lib/settle" in front)
    return scripts


@cache
def schema_files(store: str) -> tuple[SchemaFile, ...]:
    """Return the schema files of *store*, in the order in which they are applied."""
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
    """Return the schema version that this release needs of *store*."""
    return schema_files(store)[-1].version


def _named(field: str, text: str) -> list[str]:
    """Return the files that a header names under *field*."""
    match = re.search(rf"^-- {field}: (.+)$", text, re.MULTILINE)
    return match[1].split(", ") if match else []


def _in_order(names: list[str], uses: Mapping[str, list[str]], front: list[str]) -> None:
    """Add *names* to *front*, each after the files that it uses itself."""
    for name in names:
        if name not in front:
            _in_order(uses[name], uses, front)
            front.append(name)


def _then(text: str) -> list[str]:
    return _named("then", text)


def _remembered(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the parameters that a step uses and a later one gives, for the next run of all."""
    given: set[str] = set()
    early: set[str] = set()
    for step in steps:
        early.update(name for name in step.params if name not in given)
        given.update(step.gives)
    return tuple(sorted(early & given))
