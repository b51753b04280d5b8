"""The Promoter sleeps until a job is due, and hears of those that are enqueued meanwhile."""

from __future__ import annotations

from time import monotonic

import psycopg

from pgqueue import enqueue
from tests.worker import shop as tasks
from tests.worker.conftest import Start
from tests.worker.process import Shop, eventually
from tests.worker.store import Store
from tests.worker.test_listen import found_after, sleeping


def test_promotes_soon_what_was_scheduled_by_a_transaction_open_while_it_fell_asleep(
    start: Start, store: Store, shop: Shop, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url) as connection:
        late = enqueue(connection, tasks.ring.job().options(delay=0.001))
        open_since = monotonic()
        sleeping(start(poll_interval=300), store)

        lasted = monotonic() - open_since
        committed_at = monotonic()
        connection.commit()

        found_after(shop, late, committed_at, within=2 * lasted + 2)
        eventually(lambda: store.all_finished([late]))
