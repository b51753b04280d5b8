"""A terminal, an application, and processes that end with the test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pgqueue import App
from tests.cli import shop
from tests.cli.terminal import Process, Terminal

Start: TypeAlias = Callable[..., Process]


@pytest.fixture
def terminal(postgres_url: str) -> Terminal:
    return Terminal(postgres_url)


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    shop.app.use(postgres_url)
    yield shop.app
    shop.app.close()


@pytest.fixture
def work(app: App) -> Callable[..., None]:
    """Runs what can be run now."""

    def work(queues: str = "default,mail") -> None:
        asyncio.run(app.run_worker(queues=queues, drain=True))

    return work


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an application's developer is: the module shop is here."""
    shutil.copy(shop.__file__, tmp_path / "shop.py")
    return tmp_path


@pytest.fixture
def start(folder: Path, postgres_url: str) -> Iterator[Start]:
    """Starts `python ...` in that folder."""
    processes: list[Process] = []
    numbers = count(1)

    def start(*words: object, **environment: str) -> Process:
        variables = {"PGQUEUE_URL": postgres_url, **environment}
        process = Process([str(word) for word in words], folder, variables, next(numbers))
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()


@pytest.fixture
def worker(start: Start) -> Start:
    """Starts `python -m pgqueue.worker shop ...`."""

    def worker(*words: object, **environment: Any) -> Process:
        return start("-m", "pgqueue.worker", "shop", *words, **environment)

    return worker
