"""What is done is noted in the transaction that does it."""

from __future__ import annotations

from pgqueue.dashboard.actions.asked import Action, Asked, Done
from pgqueue.dashboard.forms import Form
from pgqueue.operations import Plan
from pgqueue.operations.auditing import audit


def noted(asked: Asked, verb: str, action: Action) -> Plan[Done]:
    """Do *action*, and note that: who, what, to what, with which answer."""
    done = yield from action(asked)
    target, count = _target(asked.form)
    yield audit(
        asked.access.user,
        verb,
        target=target,
        count=count,
        answer=done.words,
        reason=asked.form.text("reason") or None,
    )
    return done


def _target(form: Form) -> tuple[str | None, int | None]:
    """What the form is about: one job, queue or schedule, or so many jobs."""
    if ids := form.all("id"):
        return (f"job {ids[0]}", None) if len(ids) == 1 else (None, len(ids))
    if retried := form.text("retried_from"):
        return f"job {retried}", None
    if task := form.text("task"):
        return f"task {task}", None
    if name := form.text("name"):
        return f"schedule {name}", None
    if worker := form.text("worker"):
        return f"worker {worker}", None
    return f"queue {', '.join(form.all('queue'))}", None
