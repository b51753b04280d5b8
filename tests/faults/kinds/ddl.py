"""Nobody may create, alter or drop anything, as in some managed databases."""

from __future__ import annotations

import signal
from contextlib import suppress

import psycopg

from tests.faults.kinds import Kind, Missed

FORBID = """
    CREATE OR REPLACE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $forbid$
    BEGIN
        RAISE EXCEPTION 'nothing is created here' USING ERRCODE = 'insufficient_privilege';
    END
    $forbid$;
    CREATE EVENT TRIGGER forbidden ON ddl_command_start EXECUTE FUNCTION forbid();
"""
# It belongs to no order, so the checker reports it if it is not gone in the end.
ANCIENT = """
    INSERT INTO pgqueue.archive (id, state, run_at, enqueued_at, finished_at, queue, task, args,
                                 priority, attempt, max_attempts, rescues)
    SELECT nextval('pgqueue.job_id'), 'completed', past, past, past, 'default', 'bake',
           '{"key": 1000000000}', 0, 1, 1, 0
    FROM (SELECT clock_timestamp() - interval '400 days' AS past) AS ancient
"""
PARTITION = """
    SELECT pgqueue.add_partition('completed', floor(extract(epoch FROM day))::bigint,
                                 floor(extract(epoch FROM day + interval '24 hours'))::bigint)
    FROM (SELECT clock_timestamp() - interval '400 days 12 hours' AS day) AS ancient
    WHERE (SELECT count(*) FROM pg_inherits
           WHERE inhparent = 'pgqueue.archive_completed'::regclass) < 40
"""


class DdlForbidden(Kind):
    """Partitions past their retention cannot be dropped. The leader is killed too: a new one prunes
    at once."""

    name = "ddl-forbidden"
    measure = "jobs"
    lasts = (10.0, 14.0)

    def strike(self) -> frozenset[str]:
        with self.site.admin() as admin:
            with suppress(psycopg.errors.InvalidObjectDefinition, psycopg.errors.DuplicateTable):
                admin.execute(PARTITION)
            admin.execute(ANCIENT)
            admin.execute(FORBID)
            row = admin.execute(
                "SELECT w.name FROM pgqueue.leader AS l JOIN pgqueue.worker AS w ON w.id = l.worker"
            ).fetchone()
        fleet = self.scene.fleet
        leader = next((each for each in fleet.living() if row and each.name == row[0]), None)
        if leader is None:
            self.heal()
            raise Missed("nobody leads")
        fleet.end(leader, signal.SIGKILL)
        fleet.relaunch(leader.slot)
        return frozenset({leader.name})

    def heal(self) -> None:
        with self.site.admin() as admin:
            admin.execute("DROP EVENT TRIGGER IF EXISTS forbidden")
