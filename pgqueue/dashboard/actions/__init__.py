"""What viewers do: plans of operations that return what was done, in words."""

from collections.abc import Mapping
from typing import Final

from pgqueue.dashboard.actions import queues, schedules, workers
from pgqueue.dashboard.actions.asked import Action, Asked, Done
from pgqueue.dashboard.actions.enqueueing import enqueue
from pgqueue.dashboard.actions.jobs import JOB_ACTIONS, act_of, jobs, said
from pgqueue.dashboard.actions.noting import noted
from pgqueue.dashboard.actions.transaction import in_transaction

ACTIONS: Final[Mapping[str, tuple[str, Action]]] = {
    **{f"/{verb}": (verb, action) for verb, action in JOB_ACTIONS.items()},
    "/enqueue": ("enqueue", enqueue),
    "/pause": ("pause", queues.pause),
    "/resume": ("resume", queues.resume),
    "/limit": ("limit", queues.limit),
    "/schedules/pause": ("schedule", schedules.pause),
    "/schedules/resume": ("schedule", schedules.resume),
    "/schedules/run": ("schedule", schedules.run),
    "/schedules/change": ("schedule", schedules.change),
    "/schedules/reset": ("schedule", schedules.reset),
    "/workers/quiet": ("workers", workers.quiet),
    "/workers/resume": ("workers", workers.resume),
    "/workers/stop": ("workers", workers.stop),
}
"""The verb and the action of each address that is posted to."""

__all__ = [
    "ACTIONS",
    "JOB_ACTIONS",
    "Action",
    "Asked",
    "Done",
    "act_of",
    "in_transaction",
    "jobs",
    "noted",
    "said",
]
