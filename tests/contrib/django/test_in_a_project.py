"""What a Django project is promised, in each Django that there is, on both of its databases."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contrib.django import environments
from tests.contrib.django.test_djangos_own import DJANGO_6_1, outcome

NOT_HERE = {"InAWorker.test_sql_enqueues_one_by_its_path": "SQLite has no such function"}


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the harness makes its test database."""
    if request.param == "sqlite":
        return str(tmp_path / "shop.db")
    url: str = request.getfixturevalue("postgres_server")
    return url


PAGES = 13
PROMISES = 39


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("version", "module"),
    [
        ("6.1", "ours"),
        pytest.param("6.1", "pages", marks=pytest.mark.slow),
        pytest.param("installed", "ours", marks=pytest.mark.slow),
        ("installed", "pages"),
    ],
)
def test_its_promises_hold(version: str, module: str, database: str, tmp_path: Path) -> None:
    """Installed with pgqueue's tests is the newest that this Python has: 5.2 on Python 3.11."""
    if version == "installed":
        path, python = [], Path(sys.executable)
    else:
        path, python = [environments.source("Django", DJANGO_6_1)], None

    told = outcome(f"harness.{module}", path, database, tmp_path, python)

    on_sqlite = module == "ours" and not database.startswith("postgresql")
    assert told["skipped"] == (NOT_HERE if on_sqlite else {})
    assert len(told["passed"]) + len(told["skipped"]) == (PROMISES if module == "ours" else PAGES)
