"""Checks of the way to the store: schema, rights, clock, notifications."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from time import monotonic, time

from pgqueue import operations
from pgqueue.doctor.findings import Check, Finding, Patient, error, ok, warning
from pgqueue.errors import StoreUnavailable
from pgqueue.operations import Operation, inspections, rights

CLOCK_WARNING, CLOCK_ERROR = 1.0, 60.0  # seconds
ECHO_SECONDS = 5.0


def schema(patient: Patient) -> Iterator[Finding]:
    found = patient.ask(inspections.version())
    needed = patient.backend.head
    where = f"the schema {patient.schema} is at version {found}"
    if found is None or found < needed:
        yield error("schema", f"{where}, this pgqueue needs {needed}", "run `pgqueue migrate`")
    elif found > needed:
        yield warning("schema", f"{where}, this pgqueue knows {needed}", "upgrade pgqueue here")
    else:
        yield ok("schema", where)


def rights_of_the_role(patient: Patient) -> Iterator[Finding]:
    """Yield a warning for each part of which the role has some rights but not all.

    A role need not have every part. Rights that another of its parts needs too do not count: a part
    is incomplete if the role has rights that only this part explains, and lacks others of it.
    """
    given = patient.ask(rights.grant({part: [None] for part in rights.PARTS}, pretend=True))
    role = given[0].role
    needs = {part: [right for right in given if right.part == part] for part in rights.PARTS}
    plays = [part for part, all_of in needs.items() if all(right.held for right in all_of)]
    explained = {each for part in plays for right in needs[part] for each in right.privileges}
    # A right on a whole table includes the same right on each of its columns.
    columns = {each for right in given for each in right.privileges if " (" in each[0]}
    explained |= {(what, of) for what, of in columns if (what.partition(" (")[0], of) in explained}
    lacks = {part: [right for right in all_of if not right.held] for part, all_of in needs.items()}
    for part, missing in sorted(lacks.items(), key=lambda each: len(each[1])):
        held = {each for right in needs[part] if right.held for each in right.privileges}
        if missing and not held <= explained:
            explained.update(*(right.privileges for right in needs[part]))
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            yield warning(
                "rights",
                f"role {role} is not quite {part}: it lacks rights on {missing[0].what}{more}",
                f"the schema's owner runs `pgqueue grant --{part} {role}`",
            )
    if plays:
        yield ok("rights", f"role {role} may be {', '.join(plays)}")
    else:
        cure = f"the schema's owner runs `pgqueue grant --worker {role}`, or --enqueuer, --reader"
        yield error("rights", f"role {role} may neither enqueue, nor work, nor read", cure)


def row_security(patient: Patient) -> Iterator[Finding]:
    """Yield the policies that hide rows from the role: no grant shows them, so it finds no job and
    enqueues none."""
    asked = Operation("doctor/row_security", {}, lambda answers: [name for (name,) in answers[0]])
    hidden = patient.ask(asked)
    if hidden:
        table = f"{patient.schema}.{hidden[0]}"
        more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
        yield error(
            "row security",
            f"row level security hides rows of {hidden[0]}{more} from this role",
            f"the schema's owner runs ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, for each; "
            "or ALTER ROLE ... BYPASSRLS",
        )
    else:
        yield ok("row security", "no rows are hidden from this role")


def clock(patient: Patient) -> Iterator[Finding]:
    before = time()
    there = patient.ask(Operation("doctor/clock", {}, lambda answers: float(answers[0][0][0])))
    after = time()
    off, unsure = there - (before + after) / 2, (after - before) / 2
    said = f"the server's clock is {off:+.3f} s (± {unsure:.3f} s) from the one here"
    if abs(off) - unsure < CLOCK_WARNING:
        yield ok("clock", said)
    else:
        level = error if abs(off) >= CLOCK_ERROR else warning
        cure = "set both by NTP: a run_at made here means another instant there"
        yield level("clock", said, cure)


def pooler(patient: Patient) -> Iterator[Finding]:
    pid = {"pid": str(patient.connection.pgconn.backend_pid)}
    if patient.ask(Operation("session/is_direct", pid, lambda answers: bool(answers[0][0][0]))):
        yield ok("pooler", "url leads straight to the server")
    else:
        yield ok("pooler", "url leads through a pooler: nothing is prepared there")


def notifications(patient: Patient) -> Iterator[Finding]:
    two_ways = hasattr(patient.backend, "listen_url")
    try:
        took = asyncio.run(_echo(patient))
    except StoreUnavailable as away:
        cure = "check listen_url" if two_ways else "may this user subscribe to channels?"
        yield error("notifications", f"no worker's session: {away}", cure)
        return
    except TimeoutError:
        yield error(
            "notifications",
            f"a notification did not arrive within {ECHO_SECONDS:g} s",
            "does listen_url lead to the database that url leads to?"
            if two_ways
            else "does something between here and the server swallow messages?",
        )
        return
    if took is None:
        yield warning(
            "notifications",
            "a pooler is in the way: workers look for jobs every second, and a dead one shows "
            "after a minute",
            "give App(listen_url=...) or PGQUEUE_LISTEN_URL a direct way to the database",
        )
    else:
        yield ok("notifications", f"a notification took {took * 1000:.1f} ms there and back")


async def _echo(patient: Patient) -> float | None:
    """Return the seconds between a notification and its arrival, as a worker gets it; None where
    nothing can be notified.

    Raises TimeoutError, StoreUnavailable.
    """
    topic = f"?{secrets.token_hex(8)}"
    heard = asyncio.Event()
    session = patient.backend.session(
        lambda said: heard.set() if said == topic else None, lambda: None
    )
    try:
        await session.open()
        if not await session.subscribe({topic}):
            return None
        began = monotonic()
        patient.ask(operations.wake([topic]))
        async with asyncio.timeout(ECHO_SECONDS):
            await heard.wait()
        return monotonic() - began
    finally:
        await session.close()


CONNECTION = (
    Check("schema", schema, essential=True),
    Check("rights", rights_of_the_role, file="rights/grant"),
    Check("row security", row_security, file="doctor/row_security"),
    Check("clock", clock, file="doctor/clock"),
    Check("pooler", pooler, file="session/is_direct"),
    Check("notifications", notifications, capability="push"),
)
