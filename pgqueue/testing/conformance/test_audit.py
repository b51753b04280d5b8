"""audit, audited: who did what."""

from __future__ import annotations

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
