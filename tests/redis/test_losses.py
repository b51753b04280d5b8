"""What a crash may take with it, by how the server writes things down; and what it may not."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import operations
from pgqueue.backends.redis import RedisBackend
from pgqueue.jobs.job import NewJob
from pgqueue.operations import ClaimedJob, Rescue, Sighting
from pgqueue.operations.leases import BLOCK
from pgqueue.testing.conformance import PROFILE, Store, a_job
from tests import valkey
from tests.conftest import require_valkey
from tests.valkey import Valkey


@pytest.fixture
def serve() -> Iterator[Callable[..., Valkey]]:
    require_valkey()
    with ExitStack() as stack:

        def serve(*options: str) -> Valkey:
            return stack.enter_context(valkey.server(*options))

        yield serve


def crash(server: Valkey) -> None:
    server.stop(signal.SIGKILL)
    server.start()


def with_a_worker(server: Valkey) -> tuple[Store, int, ClaimedJob]:
    """A store by the server's clock, a worker that has a session, and its running job."""
    store = Store(RedisBackend(server.url))
    worker = store.join().worker
    job = store.running(by=worker)
    store.has_session(worker)
    store.now = None
    assert store.rescue().jobs == []
    return store, worker, job


@pytest.mark.parametrize("kept", ["nothing", "a snapshot"])
def test_no_identity_is_given_twice_although_the_counters_were_lost(
    kept: str, serve: Callable[..., Valkey]
) -> None:
    server = serve()
    backend = RedisBackend(server.url)
    members = [backend.execute(operations.join(PROFILE)) for _ in range(3)]
    if kept == "a snapshot":
        server.client().save()
    members += [backend.execute(operations.join(PROFILE)) for _ in range(20)]
    leases = [member.lease for member in members]

    crash(server)
    late = [backend.execute(operations.join(PROFILE)) for _ in range(30)]

    new = [member.lease for member in late]
    assert min(abs(one - other) for one in new for other in leases) >= BLOCK
    assert not {member.worker for member in late} & {member.worker for member in members}
    backend.close()


@pytest.mark.parametrize(
    ("persistence", "survives"),
    [
        ((), False),
        (("--save", "900 1"), False),
        (("--appendonly", "yes", "--appendfsync", "everysec"), True),
        (("--appendonly", "yes", "--appendfsync", "always"), True),
    ],
)
def test_what_is_there_after_the_server_process_was_killed(
    persistence: tuple[str, ...], survives: bool, serve: Callable[..., Valkey]
) -> None:
    """Killed, not cut from power: what was written to the system's memory is there."""
    server = serve(*persistence)
    store = Store(RedisBackend(server.url))
    job = store.running(NewJob("task"))
    waiting = store.add()

    crash(server)

    if survives:
        assert store.states(job, waiting) == ["running", "available"]
        assert store.complete(job) == {job.id}
    else:
        assert store.listing() == []
    store.backend.close()


def test_after_a_restart_everybody_has_ten_seconds_to_come_back(
    serve: Callable[..., Valkey],
) -> None:
    server = serve("--appendonly", "yes")
    store, _, job = with_a_worker(server)

    crash(server)

    assert store.rescue(patience=timedelta(0)) == Rescue([], workers=2)
    assert store.state(job) == "running"
    store.now = datetime.now(UTC) + timedelta(seconds=11)
    store.heartbeat()
    assert store.rescue(patience=timedelta(0)).jobs == []
    assert [saved.id for saved in store.rescue(patience=timedelta(0)).jobs] == [job.id]
    store.backend.close()


def test_who_has_spoken_since_a_restart_is_dead_like_any_other(
    serve: Callable[..., Valkey],
) -> None:
    server = serve("--appendonly", "yes")
    store, worker, job = with_a_worker(server)
    crash(server)
    assert [each.back for each in sighted(store, worker)] == [False]
    assert store.rescue(silent={}).jobs == []

    store.has_session(worker)
    assert [each.back for each in sighted(store, worker)] == [True]
    assert store.rescue(silent={}, patience=timedelta(0)).jobs == []

    assert [saved.id for saved in store.rescue(silent={}, patience=timedelta(0)).jobs] == [job.id]
    store.backend.close()


def sighted(store: Store, worker: int) -> list[Sighting]:
    return [each for each in store.do(operations.watch()) if each.worker == worker]


@pytest.mark.parametrize("state", ["live", "archived"])
def test_a_counter_that_was_deleted_gives_no_number_again(
    state: str, serve: Callable[..., Valkey]
) -> None:
    server = serve()
    store = Store(RedisBackend(server.url))
    last = [job.id for job in store.enqueue(a_job(), a_job())][-1]
    if state == "archived":
        store.cancel(last)
    [key] = server.client().keys("*:id")
    server.client().delete(key)

    store.join()

    assert store.add(a_job()) == last + 1
    assert store.state(last) == ("available" if state == "live" else "cancelled")
