"""The command line: `pgqueue --help`.

Each command is a module of its own and imported when it is called. Its output for programs
(`--json`, on stdout) has stable keys; an error is one line on stderr that names the cure. Exit
codes: 0 done, 1 failed, not found, not satisfied, 2 wrong usage.
"""

from __future__ import annotations

import click

from pgqueue.cli.command import LazyGroup


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    commands={
        "migrate": ("migrate:migrate", "Bring the database's tables up to date, or show how."),
        "grant": ("grant:grant", "Let database roles enqueue, work or read, and nothing else."),
        "adopt": ("adopt:adopt", "Let workers run a copied or moved queue where it is now."),
        "worker": ("worker:worker", "Run the jobs of an application."),
        "bridge": (
            "bridge:bridge",
            "Run an application's outlets and inlets, and nothing else.",
        ),
        "status": ("status:status", "What waits, what runs, how fast; --watch to keep looking."),
        "jobs": ("jobs:jobs", "List, show, cancel, retry, release, move and purge jobs."),
        "workflows": ("workflows:workflows", "List, show, cancel and retry graphs of jobs."),
        "why": ("why:why", "Why a job is not running, in one sentence."),
        "queues": ("queues:queues", "List, pause and resume queues."),
        "schedules": (
            "schedules:schedules",
            "List, pause, run and change schedules.",
        ),
        "workers": ("workers:workers", "List workers; have some claim nothing more, or stop."),
        "doctor": ("doctor:doctor", "What ails the queue, and what helps."),
        "audit": ("audit:audit", "Who did what to which jobs, queues and schedules."),
        "dashboard": ("dashboard:dashboard", "Look at the queue in a browser, and act on it."),
        "enqueue": ("enqueue:enqueue", "Enqueue one job by its task's name."),
        "copy": ("copy:copy", "Take waiting jobs and dead letters along to another store."),
        "demo": ("demo:demo", "Real jobs on a real PostgreSQL; nothing to install."),
        "completion": (
            "completion:completion",
            "Print what a shell needs to complete commands.",
        ),
    },
    epilog="Everywhere: --url or PGQUEUE_URL says where the jobs live, --json is for programs.",
)
@click.version_option(package_name="pgqueue")
def main() -> None:
    """A job queue that lives in your PostgreSQL database."""
