"""A queue in a file of its own, migrated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue import App, migrations
from tests.contrib.web import shop


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The shop's queue; a worker in another process finds it by the environment."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    migrations.migrate(url)
    monkeypatch.setenv("PGQUEUE_URL", url)
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    yield shop.queue
    shop.queue.close()
    shop.queue._backend = None
