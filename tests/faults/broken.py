"""pgqueue with a guarantee broken on purpose: does the checker see it?

A copy of the package, laid out as in a wheel, with patched files. Workers that are started in its
folder import it instead of the checkout's.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.faults.fleet import ROOT


@dataclass(frozen=True, slots=True)
class Patch:
    """*old*, which stands in the file once, becomes *new*. *file* is one of the package's if its
    name says so, else a statement file."""

    file: str
    old: str
    new: str

    def path(self, code: Path) -> Path:
        statements = self.file.endswith(".sql")
        return code / "pgqueue" / ("_sql" if statements else "") / self.file

    def apply(self, code: Path) -> None:
        path = self.path(code)
        text = path.read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {text.count(self.old)} times {self.old!r}")
        path.write_text(text.replace(self.old, self.new), "utf-8")


FENCING = (
    Patch(
        "postgres/complete.sql",
        "WHERE j.id = ANY (g.ids) AND j.lease IS NOT DISTINCT FROM g.lease",
        "WHERE j.id = ANY (g.ids)",
    ),
)
EDGES = (
    Patch(
        "postgres/parts/settle.sql",
        "SET blocked_by = j.blocked_by - locked.decided",
        "SET blocked_by = 0",
    ),
    Patch(
        "postgres/parts/settle.sql",
        "state = CASE WHEN j.blocked_by > locked.decided THEN 'blocked'\n",
        "state = CASE WHEN false THEN 'blocked'\n",
    ),
)
RESCUE = (
    Patch("postgres/rescue.sql", "JOIN dead ON dead.worker = h.worker", "JOIN dead ON false"),
    Patch("postgres/sweep.sql", "WHERE j.state = 'running'", "WHERE j.state = 'nobody''s'"),
)
# A worker that is silent by the store's clock is dead: after an outage, and between two beats.
ROBBERY = (
    Patch(
        "postgres/watch.sql",
        "       w.suspected_at IS NULL AND w.remaining IS NULL AND",
        "       w.heartbeat_at > clock_timestamp() - interval '0.9 s' AND",
    ),
    Patch(
        "postgres/rescue.sql",
        "    WHERE w.suspected_at IS NOT NULL\n",
        "    WHERE w.heartbeat_at <= instant - interval '0.9 s'\n",
    ),
    Patch(
        "postgres/rescue.sql",
        "    WHERE d.frozen OR",
        "    WHERE true OR",
    ),
)
# A dead worker's jobs are taken all at once, or none of them.
HELD = (
    Patch(
        "postgres/rescue.sql",
        "        FOR NO KEY UPDATE SKIP LOCKED\n",
        "        FOR NO KEY UPDATE\n",
    ),
)
# Several workers lead: that breaks nothing yet, as each instant is dealt with once all the same.
ALL_LEAD = (
    Patch(
        "postgres/elect.sql",
        "SELECT worker, false, (SELECT",
        "SELECT :worker::integer, true, (SELECT",
    ),
)
# The row is not compared with what was read, and an instant that is noted already stops nobody.
NOT_COMPARED = (
    *ALL_LEAD,
    Patch(
        "postgres/advance.sql",
        "AND s.revision = given.revision AND s.next_at IS NOT DISTINCT FROM given.was\n"
        "          AND s.paused_at IS NULL AND s.retired_at IS NULL\n"
        "          AND (given.last_at IS NULL OR s.last_at IS NULL OR s.last_at < given.last_at)\n",
        "AND s.paused_at IS NULL AND s.retired_at IS NULL\n",
    ),
    Patch(
        "postgres/fired.sql",
        "ON CONFLICT (schedule, instant) DO NOTHING",
        "ON CONFLICT (schedule, instant) DO UPDATE SET outcome = excluded.outcome",
    ),
)
# Each statement of a firing is a transaction of its own, and slow, so that a kill comes between.
TORN = (
    Patch(
        "worker/agents/scheduler.py",
        """            async with self._line.transaction() as executor:
                plan = operations.fire(moves, keep=self._keep, notify=not self._wakes_after)
                fired = await carry_out_async(plan, executor.execute)
""",
        """            async def alone(operation):
                await asyncio.sleep(0.1)
                return await self._line.execute(operation)

            plan = operations.fire(moves, keep=self._keep, notify=not self._wakes_after)
            fired = await carry_out_async(plan, alone)
""",
    ),
)
# The older job goes on, and the newer one waits for it.
NOT_REPLACED = (
    Patch(
        "operations/firing.py",
        """    old = [holders[key].id for key in _held("replace", wanted, holders)]
""",
        """    old: list[int] = []
""",
    ),
)
# Only the waiting job is replaced: the worker that runs the older one is not told.
NOT_STOPPED = (
    Patch(
        "operations/firing.py",
        """    old = [holders[key].id for key in _held("replace", wanted, holders)]
""",
        """    old = [
        holders[key].id
        for key in _held("replace", wanted, holders)
        if holders[key].state != State.RUNNING
    ]
""",
    ),
)
_TRY = "ELSE pg_try_advisory_xact_lock(hashtext('pgqueue') # 1953787508,"
_QUEUE_LOCK = f"{_TRY} hashtext(:queue::text)) END AS open"
_KEY_LOCK = f"{_TRY}\n{' ' * 51}hashtext(:queue::text || ' ' || next.key)) END AS mine"
# The free starts of a key are counted long before its lock is taken, so that others take it too.
FIRST_SNAPSHOT = (
    Patch(
        "postgres/claim_in_turn.sql",
        _QUEUE_LOCK,
        _QUEUE_LOCK.replace("ELSE", "WHEN pg_sleep(0.05)::text = '' THEN"),
    ),
    Patch("postgres/claim_in_turn.sql", "'most', most,", "'most', least(has, most),"),
    Patch(
        "postgres/claim_in_turn.sql",
        "j.permit >= coalesce(k.lowest, 0)",
        "j.permit < 0",
    ),
)
NO_LOCK = (
    Patch("postgres/claim_in_turn.sql", _QUEUE_LOCK, "ELSE true END AS open"),
    Patch("postgres/claim_in_turn.sql", _KEY_LOCK, "ELSE true END AS mine"),
)
FIXED_WINDOW = (
    Patch(
        "postgres/claim_in_turn.sql",
        "s.at >= instant - per) END) AS room",
        "s.at >= date_bin(per, instant, 'epoch')) END) AS room",
    ),
    Patch(
        "postgres/claim_in_turn.sql",
        "s.at >= instant - make_interval(secs => per)) END)) AS room",
        "s.at >= date_bin(make_interval(secs => per), instant, 'epoch')) END)) AS room",
    ),
)
_ONCE = "postgres/schema/0010_unique.sql"
# The holder of a key that holds until the start is not written down.
KEY_NOT_KEPT = (
    Patch(
        _ONCE,
        """            first := g.unique_key;
            second := g.unique_key;
            IF g.until_seconds""",
        """            first := CASE WHEN g.until IS DISTINCT FROM 'started' THEN g.unique_key END;
            second := first;
            IF g.until_seconds""",
    ),
)
# A started job still answers, as if it held its key until it has finished.
HELD_BEYOND_START = (
    Patch(
        _ONCE,
        "                    IF g.until IS DISTINCT FROM 'started' THEN\n",
        "                    IF true THEN\n",
    ),
)
# The second job is not told to wait for the first, which runs.
NOT_BEHIND = (
    Patch(
        _ONCE,
        """                        outcome := 'next';
                        id := g.new_id;
                        behind := held.id;
""",
        """                        outcome := 'created';
                        id := g.new_id;
""",
    ),
)
# A waiting job that answers may be claimed before the transaction that it answered has ended.
NOT_LOCKED = (
    Patch(
        _ONCE,
        "WHERE j.id = holder.id AND j.state <> 'running' FOR SHARE;",
        "WHERE j.id = holder.id AND j.state <> 'running';",
    ),
)
# Lists are not joined: those of the newest job are all that is left.
LOST_IN_MERGE = (Patch(_ONCE, "(held.args -> name) || CASE", "'[]'::jsonb || CASE"),)
# The waiting job is put off, and keeps its arguments.
ARGUMENTS_KEPT = (Patch(_ONCE, "ELSE coalesce(merged, '{}') END,", "ELSE j.args END,"),)
# A window is open for each job.
NO_WINDOW = (
    Patch(
        _ONCE,
        "until = excluded.until WHERE r.until <= now\n            RETURNING",
        "until = excluded.until\n            RETURNING",
    ),
    Patch(
        _ONCE,
        "until = excluded.until WHERE r.until <= now;",
        "until = excluded.until;",
    ),
)
# Whoever waited for a transaction that made a job of the same key does not ask again.
MEETS_THE_INDEX = (
    Patch(
        _ONCE,
        """                ON CONFLICT DO NOTHING;
                IF NOT FOUND THEN  -- somebody""",
        """                ;
                IF NOT FOUND THEN  -- somebody""",
    ),
)
ALL = {
    "FENCING": FENCING, "EDGES": EDGES, "RESCUE": RESCUE, "ROBBERY": ROBBERY, "HELD": HELD,
    "ALL_LEAD": ALL_LEAD, "NOT_COMPARED": NOT_COMPARED, "TORN": TORN, "NO_LOCK": NO_LOCK,
    "FIRST_SNAPSHOT": FIRST_SNAPSHOT, "FIXED_WINDOW": FIXED_WINDOW, "NOT_REPLACED": NOT_REPLACED,
    "NOT_STOPPED": NOT_STOPPED, "KEY_NOT_KEPT": KEY_NOT_KEPT, "NOT_BEHIND": NOT_BEHIND,
    "HELD_BEYOND_START": HELD_BEYOND_START, "NOT_LOCKED": NOT_LOCKED, "NO_WINDOW": NO_WINDOW,
    "LOST_IN_MERGE": LOST_IN_MERGE, "ARGUMENTS_KEPT": ARGUMENTS_KEPT,
    "MEETS_THE_INDEX": MEETS_THE_INDEX,
}  # fmt: skip


def build(folder: Path, patches: tuple[Patch, ...]) -> Path:
    """Makes the copy below *folder*; what to give a fleet as its code."""
    code = folder / "code"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pgqueue", code / "pgqueue", ignore=ignored)
    shutil.copytree(ROOT / "sql", code / "pgqueue" / "_sql")
    shutil.copytree(ROOT / "migrations", code / "pgqueue" / "_migrations", ignore=ignored)
    for patch in patches:
        patch.apply(code)
    return code
