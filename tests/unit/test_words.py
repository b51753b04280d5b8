"""Names that were given up do not come back: one word, one meaning (docs/developing.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pgqueue
from tests.rules import of_each

PACKAGE = Path(pgqueue.__file__).parent
# What is said today instead of each.
GIVEN_UP = {
    "Line": "ReconnectingConnection",
    "Lane": "WorkerConnection",
    "Hands": "JobRuntime",
    "WorkerHands": "WorkerRuntime",
    "Strangers": "UnknownTasks",
    "Silence": "LastHangUp",
    "Patience": "AnswerDeadline",
    "Lent": "BorrowedConnection",
    "Ear": "Subscription",
    "Seat": "PooledConnection",
    "Turn": "WriteLock",
    "Gathering": "BufferedRunner",
    "Told": "CompletedLeases",
    "Aside": "HeldOutcomes",
    "Side": "RenumberedStore",
    "busy": "locked",
    "origin": "store_id",
    "briefly": "shortest",
    "util": "a name that says what it does",
    "utils": "a name that says what it does",
    "helpers": "a name that says what it does",
    "common": "a name that says what it does",
    "manager": "a name that says what it does",
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


@of_each(MODULES)
def test_no_name_that_was_given_up_comes_back(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = {path.stem} | {
        node.name
        for node in tree.body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    }

    assert {name: GIVEN_UP[name] for name in names & GIVEN_UP.keys()} == {}


def test_modules_are_called_otherwise_than_the_names_given_up() -> None:
    given_up = {name.lower() for name in GIVEN_UP} - {"side"}

    assert {path.stem for path in MODULES} & given_up == set()
