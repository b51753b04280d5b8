"""Checks of what PostgreSQL does with the tables: vacuum, who holds it back, partitions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from pgqueue.doctor.findings import Check, Finding, Patient, error, ok, warning
from pgqueue.operations import Operation
from pgqueue.operations.workers import Behind

HELD_WARNING, HELD_ERROR = timedelta(minutes=5), timedelta(hours=1)
OLD_TRANSACTIONS = 1_000_000
TURN_WARNING = timedelta(seconds=10)
MANY_DEAD = 50_000
LARGE = 64 * 1024**2  # bytes: a smaller table does no harm, whatever its state
BYTES_A_ROW = 8 * 1024  # a table that takes more for each live row is mostly empty space
OURS = ("job", "dependency", "worker")


class Holder(NamedTuple):
    """A session, prepared transaction, replication slot or standby because of which vacuum removes
    none of the rows that died since it began."""

    kind: str
    name: str
    pid: int | None
    seconds: float | None
    age: int

    @property
    def lasted(self) -> timedelta:
        return timedelta(seconds=self.seconds or 0)


class Keeper(NamedTuple):
    """A session whose transaction holds *locks* under which limits are counted; *queues* are those
    that it has locked as a whole."""

    name: str
    pid: int
    seconds: float
    locks: int
    queues: list[str]


class Table(NamedTuple):
    """How many rows a table has, how large it is, and when it was vacuumed."""

    name: str
    live: int
    dead: int
    bytes: int
    index_bytes: int
    vacuumed: float | None


class Days(NamedTuple):
    """The partitions of one state.

    *today*, *ahead*: is there one? *stray*: how many jobs ended on a day that had none.
    """

    state: str
    today: bool
    ahead: bool
    stray: int


def horizon(patient: Patient) -> Iterator[Finding]:
    asked = Operation("doctor/horizon", {"limit": "3"}, lambda a: [Holder(*row) for row in a[0]])
    holders = patient.ask(asked)
    bad = [
        holder
        for holder in holders
        if holder.lasted >= HELD_WARNING or holder.age >= OLD_TRANSACTIONS
    ]
    for holder in bad:
        yield _held(holder)
    if not bad:
        oldest = f"; the oldest is {_called(holders[0])}" if holders else ""
        yield ok("horizon", f"nobody keeps vacuum from working{oldest}")


def _held(holder: Holder) -> Finding:
    message = f"{_called(holder)} keeps vacuum from working"
    match holder.kind:
        case "session":
            cure = (
                f"end it: pg_terminate_backend({holder.pid}); idle_in_transaction_session_timeout"
            )
        case "prepared transaction":
            cure = "end it by COMMIT PREPARED or ROLLBACK PREPARED"
        case "replication slot":
            cure = "drop it with pg_drop_replication_slot, unless its replica comes back"
        case _:
            cure = "hot_standby_feedback: end the long query on that standby"
    level = error if holder.lasted >= HELD_ERROR or holder.kind != "session" else warning
    return level("horizon", message, cure)


def _called(holder: Holder) -> str:
    number = f" {holder.pid}" if holder.pid is not None else ""
    long = "" if holder.seconds is None else f", for {timedelta(seconds=int(holder.seconds))}"
    return f"{holder.kind}{number} ({holder.name}{long}, {holder.age} transactions)"


def turns(patient: Patient) -> Iterator[Finding]:
    """Yield the sessions that have held a lock of a limited queue or key for long.

    A claim passes over what is locked, so no worker gets a job of it meanwhile.
    """
    params = {"seconds": str(TURN_WARNING.total_seconds())}
    found = patient.ask(Operation("doctor/turns", params, lambda a: [Keeper(*row) for row in a[0]]))
    for keeper in found:
        whole = f", all of queue {', '.join(keeper.queues)}" if keeper.queues else ""
        long = timedelta(seconds=int(keeper.seconds))
        yield warning(
            "turns",
            f"session {keeper.pid} ({keeper.name}) has held {keeper.locks} locks of limited queues "
            f"and keys{whole} for {long}; nobody else claims of them",
            f"end it: pg_terminate_backend({keeper.pid})",
        )
    if not found:
        yield ok("turns", "nobody keeps a queue or a key from other workers")


def tables(patient: Patient) -> Iterator[Finding]:
    asked = Operation("doctor/tables", {}, lambda answers: [Table(*row) for row in answers[0]])
    found = patient.ask(asked)
    bad = False
    for table in found:
        if table.dead >= MANY_DEAD and table.dead > table.live:
            bad = True
            when = "never" if table.vacuumed is None else f"{table.vacuumed:.0f} s ago"
            yield warning(
                "tables",
                f"{table.name} has {table.dead} dead rows beside {table.live}; vacuumed {when}",
                f"see horizon and autovacuum; then VACUUM {patient.schema}.{table.name}",
            )
        weight = table.bytes + table.index_bytes
        if weight >= LARGE and weight > BYTES_A_ROW * table.live:
            bad = True
            yield warning(
                "tables",
                f"{table.name} and its indexes take {weight >> 20} MiB for {table.live} rows",
                f"in a quiet hour VACUUM FULL {patient.schema}.{table.name}, which locks it; "
                "REINDEX TABLE CONCURRENTLY for the indexes alone",
            )
    if not bad:
        dead = ", ".join(f"{table.name} {table.live} and {table.dead} dead" for table in found)
        yield ok("tables", f"rows: {dead}")


def autovacuum(patient: Patient) -> Iterator[Finding]:
    asked: Operation[dict[str, str]] = Operation(
        "doctor/autovacuum", {}, lambda answers: dict(answers[0])
    )
    settings = patient.ask(asked)
    bad = [name for name in ("autovacuum", "track_counts") if settings.get(name) != "on"]
    for name in bad:
        yield error("autovacuum", f"{name} is off", f"run ALTER SYSTEM SET {name} = on, and reload")
    for table in OURS:
        name = f"{patient.schema}.{table}"
        if settings.get(f"{table}.autovacuum_enabled") in ("false", "off", "0", "no"):
            bad.append(table)
            yield error(
                "autovacuum",
                f"it is off for {table}",
                f"run ALTER TABLE {name} RESET (autovacuum_enabled)",
            )
        if f"{table}.autovacuum_vacuum_scale_factor" not in settings:
            bad.append(table)
            yield warning(
                "autovacuum",
                f"{table} has lost its own settings: it is vacuumed after a fifth of it has died",
                f"give {name} back autovacuum_vacuum_scale_factor = 0.01 "
                "and autovacuum_vacuum_cost_delay = 0, by ALTER TABLE",
            )
    if not bad:
        yield ok("autovacuum", "it is on, and quick for the tables that change all the time")


def constraints(patient: Patient) -> Iterator[Finding]:
    """Yield the constraints that `migrate` has left unchecked: reading a large table would have
    locked it."""
    asked: Operation[list[tuple[str, str, str]]] = Operation(
        "doctor/constraints", {}, lambda a: [(table, name, cure) for table, name, cure in a[0]]
    )
    unchecked = patient.ask(asked)
    for table, name, cure in unchecked:
        said = f"{name} holds for new rows; older ones of {table} have not been looked at"
        yield warning("constraints", said, f"when it suits, it locks out no worker: {cure}")
    if not unchecked:
        yield ok("constraints", "each holds for all rows")


def indexes(patient: Patient) -> Iterator[Finding]:
    """Yield the indexes that `migrate` does not make on a large table, and the older one that it
    keeps instead."""
    asked: Operation[list[tuple[str, bool, str]]] = Operation(
        "doctor/indexes", {}, lambda a: [(name, there, cure) for name, there, cure in a[0]]
    )
    odd = patient.ask(asked)
    for name, there, cure in odd:
        if there:
            said = f"{name} is left from a version before; only workers of that version use it"
            yield warning("indexes", said, f"when none of them runs any more: {cure}")
        else:
            said = f"{name} is not there: claims of a large queue walk further than they need to"
            yield warning("indexes", said, f"when it suits, it locks out no worker: {cure}")
    if not odd:
        yield ok("indexes", "those that claims walk are there")


def sequences(patient: Patient) -> Iterator[Finding]:
    asked = Operation("doctor/sequences", {}, lambda a: [Behind(*row) for row in a[0]])
    behind = patient.ask(asked)
    for each in behind:
        said = f"{each.sequence} is at {each.last}, but rows have numbers up to {each.newest}"
        yield error("sequences", said, each.cure)
    if not behind:
        yield ok("sequences", "no number is given twice")


def partitions(patient: Patient) -> Iterator[Finding]:
    asked = Operation("doctor/partitions", {"now": None}, lambda a: [Days(*row) for row in a[0]])
    cure = "is a worker running, and does it lead? Its role must be owner or `pgqueue grant`ed"
    bad = False
    for days in patient.ask(asked):
        if days.stray and not days.today and not days.ahead:
            bad = True
            many = f"{days.stray}{'+' if days.stray >= 1000 else ''}"
            said = f"{days.state}: {many} jobs ended, and no day has a partition of its own"
            yield warning("partitions", said, cure)
        elif days.today and not days.ahead:
            bad = True
            yield warning("partitions", f"{days.state}: there is none ahead", cure)
    if not bad:
        yield ok("partitions", "made ahead, or not needed yet")


SERVER = (
    Check("horizon", horizon, file="doctor/horizon"),
    Check("turns", turns, file="doctor/turns"),
    Check("tables", tables, file="doctor/tables"),
    Check("autovacuum", autovacuum, file="doctor/autovacuum"),
    Check("partitions", partitions, file="doctor/partitions"),
    Check("constraints", constraints, file="doctor/constraints"),
    Check("indexes", indexes, file="doctor/indexes"),
    Check("sequences", sequences, file="doctor/sequences"),
)
