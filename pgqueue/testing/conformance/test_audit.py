"""audit, audited, and what forget deletes of it: who did what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgqueue import operations
from pgqueue.operations.auditing import AuditEntry, audit, audited
from pgqueue.testing.conformance.store import NOON, Store


def test_what_was_done_is_read_again_the_newest_first(store: Store) -> None:
    store.do(audit("ann", "cancel", target="job 7", count=1, answer="cancelled", now=NOON))
    store.do(audit("bob", "retry", filter="in queue mail", count=12_000, reason="mended", now=NOON))
    newest, first = store.do(audited())

    assert newest == AuditEntry(
        id=newest.id,
        at=NOON,
        who="bob",
        verb="retry",
        filter="in queue mail",
        count=12_000,
        reason="mended",
    )
    assert (first.who, first.target, first.answer, first.count) == ("ann", "job 7", "cancelled", 1)
    assert newest.id > first.id


def test_is_read_a_page_at_a_time_and_by_its_target(store: Store) -> None:
    for n in range(5):
        store.do(audit("ann", "pause", target=f"queue q{n % 2}", now=NOON))
    page = store.do(audited(limit=2))

    assert [e.target for e in page] == ["queue q0", "queue q1"]
    rest = store.do(audited(before=page[-1].id))
    assert [e.target for e in rest] == ["queue q0", "queue q1", "queue q0"]
    assert [e.id for e in store.do(audited(target="queue q1"))] == [page[1].id, rest[1].id]


def test_what_is_kept_for_long_enough_goes_the_oldest_first(store: Store) -> None:
    # In the past: what is younger than a week by the server's own clock may not be deleted.
    start, day = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)
    for days in range(20):
        store.do(audit("ann", "pause", target=f"queue q{days % 2}", now=start + days * day))
    now, kept = start + 40 * day, 30 * day

    assert store.do(operations.forget(now=now)) == 0
    assert store.do(operations.forget(4, audit=kept, now=now)) == 4
    assert store.do(operations.forget(audit=kept, now=now)) == 6
    assert store.do(operations.forget(audit=kept, now=now)) == 0

    assert [e.at for e in store.do(audited())] == [start + n * day for n in range(19, 9, -1)]
    assert len(store.do(audited(target="queue q1"))) == 5
