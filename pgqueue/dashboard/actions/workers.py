"""What is asked of workers: to claim nothing more, to claim again, to stop."""

from __future__ import annotations

from functools import partial
from typing import Final

from pgqueue import operations
from pgqueue.dashboard.actions.asked import Action, Asked, Done
from pgqueue.operations import Plan, inspections
from pgqueue.operations.inspections import WorkerInfo
from pgqueue.operations.workers import Asked as AskedOf


def _direct(asked_of: AskedOf | None, words: str, asked: Asked) -> Plan[Done]:
    """Ask it of the worker that the form names, if the viewer sees all queues that it serves."""
    named = asked.form.text("worker")
    present: list[WorkerInfo] = yield inspections.workers()
    worker = next((each for each in present if str(each.id) == named), None)
    if worker is None or not asked.access.sees_worker(worker):
        raise ValueError(f"worker {named:.40}: it is not there any more")
    if not asked.access.sees_all_of(worker):
        raise ValueError(f"{worker.name}: you do not see all queues that it serves")
    told = yield operations.direct([worker.id], asked_of)
    said = words if told else "is gone meanwhile"
    return Done(f"{worker.name} {said}", target=f"worker {worker.name}")


quiet: Final[Action] = partial(_direct, "quiet", "claims nothing more")
resume: Final[Action] = partial(_direct, None, "claims again")
stop: Final[Action] = partial(_direct, "stop", "is to stop")
