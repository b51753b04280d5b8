"""The tests of Django itself, and of django-tasks-db, run against pgqueue's backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.django import environments
from tests.contrib.django.environments import HERE

DJANGO_6_1 = "6.1.3"
DJANGO_6_0 = "6.0.10"
TASKS_DB, OF_TASKS_DB, PORTABLE = "0.13.0", 95, 36
# Of the dummy and the immediate backend, what can only be true of them.
ONLY_THEIRS = {
    "Dummy.test_refresh_result",
    "Dummy.test_refresh_result_async",
    "Dummy.test_validate_on_aenqueue",
    "Dummy.test_validate_on_enqueue",
    "Immediate.test_cannot_get_result",
    "Immediate.test_cannot_pass_run_after",
    "Immediate.test_cannot_refresh_result",
    "Immediate.test_throws_keyboard_interrupt",
    "Immediate.test_validate_on_aenqueue",
    "Immediate.test_validate_on_enqueue",
}


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the harness makes its test database."""
    if request.param == "sqlite":
        return str(tmp_path / "shop.db")
    url: str = request.getfixturevalue("postgres_server")
    return url


def outcome(
    module: str, path: list[Path], database: str, cwd: Path, python: Path | None = None
) -> dict[str, Any]:
    """What became of each test of *module*; fails with all output if it could not be run."""
    tasks_db = environments.source("django-tasks-db", TASKS_DB) if python is None else None
    settings = {
        "DJANGO_TASKS_DB_TESTS": str(tasks_db and tasks_db / "tests" / "tests.py"),
        "DJANGO_TASKS_DB_COUNT": str(OF_TASKS_DB),
        "HARNESS_DATABASE": database,
        "HARNESS_OTHER_DATABASE": str(cwd / "other.db"),
        "HARNESS_TEST_DATABASE": f"harness_{cwd.parent.name}_{cwd.name}".replace("-", "_").lower(),
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # their coroutines ask results that block
    }
    done = environments.run(["-m", "harness.run", module], [*path, HERE], settings, cwd, python)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["failed"] == [], done.stderr
    return told


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("version", "passing"), [(DJANGO_6_1, 64), pytest.param(DJANGO_6_0, 59, marks=pytest.mark.slow)]
)
def test_djangos_own_tests_pass(version: str, passing: int, database: str, tmp_path: Path) -> None:
    django = environments.source("Django", version)

    told = outcome("harness.djangos", [django, django / "tests"], database, tmp_path)

    assert told["django"] == version
    assert set(told["skipped"]) == ONLY_THEIRS
    assert len(told["passed"]) == passing


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_so_do_those_of_django_tasks_db_that_are_not_about_its_tables(
    postgres_server: str, tmp_path: Path
) -> None:
    """Which they are, the harness says; it fails when there are more or fewer of the others."""
    django = environments.source("Django", DJANGO_6_1)

    told = outcome("harness.tasks_db", [django, django / "tests"], postgres_server, tmp_path)

    assert len(told["passed"]) == PORTABLE
    assert set(told["skipped"].values()) == {"of their rows, queries and options"}
