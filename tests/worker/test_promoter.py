"""The Promoter sleeps until a job is due, and hears of those that are enqueued meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic

import psycopg

from pgqueue import App, enqueue
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work
from tests.worker.process import Shop, eventually, soon
from tests.worker.store import Store, ended
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


SLOW_WRITES = """
    CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(0.8); RETURN new; END $$;
    CREATE TRIGGER slowly BEFORE UPDATE ON pgqueue.job FOR EACH ROW
    WHEN (new.task = 'slow' AND new.state = 'available') EXECUTE FUNCTION slowly()
"""


async def test_is_on_time_for_the_next_job_after_a_promotion_that_took_long(
    work: Work, app: App, store: Store
) -> None:
    started_at: list[datetime] = []

    @app.task
    async def slow() -> None: ...

    @app.task
    async def next() -> None:
        started_at.append(datetime.now(UTC))

    store.value(SLOW_WRITES)
    promoter = (worker := await work())._agents.promoter
    await soon(lambda: "@" in worker._agents.listener._session._sleeps_on)
    promoter._gap = 300.0
    await soon(lambda: promoter._gap > 300)  # it rests, until it is told of something due soon

    _, handle = await app.enqueue_async(
        [slow.job().options(delay=0.3), next.job().options(delay=1.3)]
    )
    job = await ended(app, handle)

    assert started_at[0] - job.run_at < timedelta(seconds=0.4)
