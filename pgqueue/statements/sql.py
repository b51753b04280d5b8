"""SQL statements as values: what a file says, in the form that a driver takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar

from pgqueue.errors import PgqueueError
from pgqueue.operations import Operation

T = TypeVar("T")

Paramstyle: TypeAlias = Literal["pyformat", "format", "named", "numeric_dollar"]
"""How a driver writes parameters: %(name)s, %s, :name, $1; the names are those of PEP 249."""
PARAMSTYLES: Final = ("pyformat", "format", "named", "numeric_dollar")
_BY_NAME: Final = ("pyformat", "named")

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
# In SQLite's files: a column `AS ":ids"` is the parameter `ids` of the statements after it, and one
# `AS "tags[]"` is an array, which SQLite has as JSON text.
_GIVES = re.compile(r'\bAS ":([a-z_]+)"')
_AGAIN = re.compile(r'\bAS (?:again\b|":again")')
_LISTS = re.compile(r'\bAS "[a-z_]+\[\]"')
_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\b")


@dataclass(frozen=True, slots=True)
class Step:
    """One SQL statement, with ``$1``, ``$2`` … in the order of *params*, or by *paramstyle*.

    *gives*: its columns are parameters of the statements after it, under these names. *says_again*:
    its answer says whether the statements that follow a file should run once more.
    """

    sql: str
    params: tuple[str, ...]
    gives: tuple[str, ...] = ()
    has_lists: bool = False
    writes: bool = True
    says_again: bool = False
    paramstyle: Paramstyle = "numeric_dollar"
    text: bytes = field(init=False, repr=False)
    """*sql* as a driver sends it. One object for ever, as drivers look it up by its hash."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.sql.encode())

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.params]

    def given(self, values: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """Return *values* as the paramstyle wants them: by name, or in order."""
        if self.paramstyle in _BY_NAME:
            return {name: values[name] for name in self.params}
        return self.bind(values)


@dataclass(frozen=True, slots=True)
class Statement:
    """One operation's file: its own steps, and those that follow and may repeat."""

    name: str
    steps: tuple[Step, ...]
    followed_by: tuple[Step, ...]
    repeats: bool = False
    """May the steps that follow have to run again? Only where jobs end other than by success."""
    remembers: tuple[str, ...] = ()
    """Parameters that one run of the steps gives to the next; null in the first."""
    writes: bool = True
    """Does it change anything?"""
    unless: Step | None = None
    """Asked first, outside the transaction: its answer, if it has one, saves the rest."""
    atomic: bool = field(init=False)
    """Is it one SQL statement, which needs no transaction around it?"""

    def __post_init__(self) -> None:
        atomic = len(self.steps) + len(self.followed_by) == 1 and not self.unless
        object.__setattr__(self, "atomic", atomic)


def shortest(
    operation: Operation[T], statements: Mapping[str, Statement]
) -> tuple[Operation[T], Statement]:
    """Return *operation*, or its shortcut where it has one, and the statement for it."""
    operation = operation.shortcut or operation
    return operation, statements[operation.name]


def split(
    text: str, paramstyle: Paramstyle = "numeric_dollar", *, as_text: bool = False
) -> tuple[Step, ...]:
    """Split *text* at its semicolons, and write its parameters in *paramstyle*.

    Where that is with percent signs, each other one is doubled. *as_text*: a parameter with a cast
    is cast to text first, for drivers that ask the server for its type and want a value of that.
    Strings, quoted names, function bodies and comments are not looked into.
    """
    percents = paramstyle in ("pyformat", "format")
    steps: list[Step] = []
    sql: list[str] = []
    params: list[str] = []
    at = 0
    for token in _TOKEN.finditer(text):
        between = text[at : token.start()]
        sql.append(between.replace("%", "%%") if percents else between)
        at = token.end()
        if name := token["param"]:
            if name not in params or paramstyle == "format":
                params.append(name)
            sql.append(_placed(name, params, paramstyle))
            if as_text and text.startswith("::", at):
                sql.append("::text")
        elif token["end"]:
            steps.append(_step("".join(sql).strip(), params, paramstyle))
            sql, params = [], []
        elif not token["comment"]:
            sql.append(token[0].replace("%", "%%") if percents else token[0])
    if "".join(sql).strip() or text[at:].strip():
        raise PgqueueError(f"a statement lacks its semicolon: {text[at:].strip()[:60]!r}")
    return tuple(steps)


def _placed(name: str, params: list[str], paramstyle: Paramstyle) -> str:
    if paramstyle == "numeric_dollar":
        return f"${params.index(name) + 1}"
    return {"pyformat": f"%({name})s", "format": "%s", "named": f":{name}"}[paramstyle]


def _step(sql: str, params: list[str], paramstyle: Paramstyle) -> Step:
    return Step(
        sql,
        tuple(params),
        tuple(_GIVES.findall(sql)),
        bool(_LISTS.search(sql)),
        bool(_WRITES.search(sql)),
        bool(_AGAIN.search(sql)),
        paramstyle,
    )
