"""A store that another distribution brings: `App("toy://…")`, its workers and its commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import distribution

DRAIN = """
import asyncio
from pgqueue import App

app = App("toy://x")

@app.task
def double(n: int) -> int:
    return 2 * n

@app.task
async def halve(n: int) -> int:
    return n // 2

handles = app.enqueue([double.job(21), halve.job(42)])
asyncio.run(app.run_worker(drain=True))
print(type(app.backend).__module__, *[app.result(handle, timeout=10) for handle in handles])
"""
LOGGING = """
import asyncio, logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
"""
FINISHES_IN_ITS_TRANSACTION = """
import asyncio
from pgqueue import App, Context
from pgqueue.operations import inspections

app = App("toy://x")

@app.task
def sell(ctx: Context, n: int) -> None:
    with ctx.transaction() as connection:
        connection.execute("CREATE TABLE purchase (n)")
        connection.execute("INSERT INTO purchase VALUES (?)", [n])

@app.task
async def count(ctx: Context) -> None:
    async with ctx.transaction() as connection:
        connection.execute("UPDATE purchase SET n = n + 1")

sale = app.enqueue(sell.job(7))
app.enqueue(count.job().after(sale))
asyncio.run(app.run_worker(drain=True))
with app.backend.connect() as connection:
    print(*connection.execute("SELECT n FROM purchase").fetchone())
print(*[job.state for job in app.execute(inspections.list_jobs())])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distribution.install(tmp_path_factory.mktemp("toystore"))


class Shell:
    """Runs Python where the toy is installed."""

    def __init__(self, site: Path, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "PYTHONPATH": str(site)}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shell(site: Path, tmp_path: Path) -> Shell:
    return Shell(site, tmp_path)


def test_an_installed_store_works_by_its_url(shell: Shell) -> None:
    assert shell("-c", DRAIN).split() == ["toystore", "42", "21"]


def test_a_task_finishes_in_its_own_transaction_there(shell: Shell) -> None:
    assert shell("-c", FINISHES_IN_ITS_TRANSACTION).split() == ["8", "completed", "completed"]


def test_a_worker_says_how_it_hears_there(shell: Shell) -> None:
    """Nobody is in the way: the store has no ear."""
    logged = shell("-c", DRAIN.replace("import asyncio", LOGGING))

    assert "toy wakes nobody: we look for jobs every 1 s" in logged
    assert "pooler" not in logged


def test_commands_work_on_an_installed_store(shell: Shell) -> None:
    shell("-m", "pgqueue", "enqueue", "--url", "toy://x", "greet", '{"name": "you"}')

    [queue] = json.loads(shell("-m", "pgqueue", "status", "--url", "toy://x", "--json"))["queues"]
    assert queue["counts"] == {"available": 1}
