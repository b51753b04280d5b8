"""The check of outlets and inlets, by what their workers report: the doctor asks no broker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pgqueue.backends.plans import carry_out
from pgqueue.doctor.findings import Check, Finding, Patient, error, ok, warning
from pgqueue.operations import inspections
from pgqueue.views.bridges import BridgeStatus
from pgqueue.views.status import bridging
from pgqueue.views.text import ago, ahead, span

LONG_AWAY = timedelta(minutes=1)
LONG_WAIT = timedelta(minutes=5)


def check_bridges(patient: Patient) -> Iterator[Finding]:
    """Yield brokers out of reach, messages that have waited long or are dead, and inlets without a
    worker."""
    found = _read(patient)
    bad = False
    for bridge in found:
        for finding in _look_at(bridge):
            bad = True
            yield finding
    if not bad:
        outlets = sum(bridge.kind == "outlet" for bridge in found)
        said = f"{outlets} outlets and {len(found) - outlets} inlets, their brokers in reach"
        yield ok("bridges", said if found else "there are none")


def _read(patient: Patient) -> list[BridgeStatus]:
    workers = patient.ask(inspections.workers())
    counts = patient.ask(inspections.count()).counts
    return carry_out(bridging(workers, counts), patient.ask)


def _look_at(bridge: BridgeStatus) -> Iterator[Finding]:
    name = f"{bridge.kind} {bridge.name}"
    if bridge.away_since is not None:
        yield _away(bridge, name)
    elif _late(bridge):
        since = span(timedelta(seconds=int(bridge.oldest_due_seconds or 0)))
        said = f"a message of {name} has been due for {since}, although its broker is in reach"
        cure = f"pgqueue jobs list --queue {bridge.name} --state available; pgqueue why ID"
        yield warning("bridges", said, cure)
    if bridge.kind == "inlet" and not bridge.workers:
        said = f"no worker takes the messages of {name}"
        yield warning("bridges", said, f"pgqueue bridge APP {bridge.name}, or a worker's --inlets")
    if bridge.paused_since is not None:
        where = "" if bridge.queue is None else f" in queue {bridge.queue}"
        most = "" if bridge.high_water is None else f": more than {bridge.high_water:,} jobs wait"
        said = f"{name} takes nothing, {ago(bridge.paused_since)}{most}{where}"
        yield warning("bridges", said, "more workers for that queue, or a larger high_water")
    for problem in bridge.problems:
        yield warning("bridges", f"{name}: {problem}", f"pgqueue bridge check APP {bridge.name}")
    if bridge.dead:
        at_least = "at least " if bridge.dead_capped else ""
        what = "that could not be read" if bridge.kind == "inlet" else "that were not sent"
        said = f"{name} has {at_least}{bridge.dead:,} dead letters, messages {what}"
        cure = f"pgqueue jobs list --queue {bridge.name} --state discarded; pgqueue jobs retry"
        yield warning("bridges", said, cure)


def _away(bridge: BridgeStatus, name: str) -> Finding:
    assert bridge.away_since is not None
    place = bridge.place or "its broker"
    if bridge.is_shut:
        said = f"{name}: {place} is out of reach, since {_span(bridge.away_since)}: {bridge.why}"
    else:
        who = f"{bridge.away} of its {bridge.workers} workers"
        said = f"{name}: {place} is out of reach of {who}: {bridge.why}"
    if bridge.waiting:
        said += f"; {'at least ' * bridge.capped}{bridge.waiting:,} messages wait"
    if bridge.next_look_at is not None:
        said += f"; the next look is {ahead(bridge.next_look_at)}"
    long = bridge.is_shut and datetime.now(UTC) - bridge.away_since > LONG_AWAY
    return (error if long else warning)("bridges", said, f"pgqueue bridge check APP {bridge.name}")


def _span(since: datetime) -> str:
    return span(max(timedelta(0), datetime.now(UTC) - since))


def _late(bridge: BridgeStatus) -> bool:
    due = bridge.oldest_due_seconds
    return bridge.workers > 0 and due is not None and due > LONG_WAIT.total_seconds()


BRIDGES = (Check("bridges", check_bridges),)
