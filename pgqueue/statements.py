"""The only door to the SQL files: finds them, reads their headers, turns them into the driver's
form.

A statement file holds one operation: a header comment, then one or more statements. They run in
order, in one transaction; the answer is what each of them returns. ``then:`` names files whose
statements follow, the same for every verb that needs them. When one of those answers *true*, they
all run once more, in the same transaction (see sql/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pgqueue.errors import PgqueueError

_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*)
      | (?P<body>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<text>'(?:[^']|'')*')
      | (?P<cast>::)
      | :(?P<param>[a-z_]+)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
# `pgqueue.job`, 'pgqueue' (the channel, the locks) and two commands; not the words of a message.
_SCHEMA = re.compile(
    r"\bpgqueue(?=\.)|(?<=')pgqueue(?=')|(?<=SCHEMA IF NOT EXISTS )pgqueue\b|(?<=LISTEN )pgqueue\b"
)
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Step:
    """One SQL statement, with ``$1``, ``$2`` … in the order of *params*."""

    sql: str
    params: tuple[str, ...]

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.params]


@dataclass(frozen=True, slots=True)
class Statement:
    """One operation's file: its own steps, and those that follow and may repeat."""

    name: str
    steps: tuple[Step, ...]
    followed_by: tuple[Step, ...]

    @property
    def atomic(self) -> bool:
        """Is it one SQL statement, which needs no transaction around it?"""
        return len(self.steps) + len(self.followed_by) == 1

    @property
    def repeats(self) -> bool:
        """May what follows have to run again? Only where jobs end other than well."""
        return len(self.followed_by) > 1


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One numbered schema file and the way back."""

    version: str
    name: str
    up: str
    down: str


def folder(store: str) -> Path:
    """Where the files of *store* are: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    for root in (package / "_sql", package.parent / "sql"):
        if (root / store).is_dir():
            return root / store
    raise PgqueueError(f"pgqueue's SQL files for {store} are missing: reinstall pgqueue")


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
    """Every statement file of *store*, by name; ``room/name`` what only some stores have."""
    root = folder(store)
    paths = [path for path in sorted(root.rglob("*.sql")) if path.parent.name != "schema"]
    texts = {
        path.relative_to(root).with_suffix("").as_posix(): path.read_text("utf-8") for path in paths
    }
    steps = {name: _steps(in_schema(text, schema)) for name, text in texts.items()}
    return {
        name: Statement(
            name, steps[name], tuple(step for then in _then(text) for step in steps[then])
        )
        for name, text in texts.items()
    }


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


def _then(text: str) -> list[str]:
    match = re.search(r"^-- then: (.+)$", text, re.MULTILINE)
    return match[1].split(", ") if match else []


def _steps(text: str) -> tuple[Step, ...]:
    """Splits *text* at its semicolons and numbers its parameters, outside strings and comments."""
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
            sql.append(f"${params.index(name) + 1}")
        elif token["end"]:
            steps.append(Step("".join(sql).strip(), tuple(params)))
            sql, params = [], []
        elif not token["comment"]:
            sql.append(token[0])
    if "".join(sql).strip() or text[at:].strip():
        raise PgqueueError(f"a statement lacks its semicolon: {text[at:].strip()[:60]!r}")
    return tuple(steps)
