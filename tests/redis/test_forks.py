"""A task that forks: the child is no part of the worker."""

from __future__ import annotations

import pytest

from pgqueue import App
from tests.redis.conftest import Start
from tests.valkey import Valkey
from tests.worker.process import Shop, least
from tests.worker.test_forks import RESCUED_WITHIN, runs_elsewhere_after


@pytest.mark.timeout(300)
async def test_a_forked_child_does_not_keep_a_killed_worker_alive(
    durable: Valkey, start: Start, shop: Shop
) -> None:
    app = App(durable.url)
    await least(
        lambda: runs_elsewhere_after(app, start, shop, "os.fork"), below=RESCUED_WITHIN, tries=1
    )
    app.close()
