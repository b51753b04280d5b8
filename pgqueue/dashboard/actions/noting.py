"""Each action is noted in the audit, in its own transaction."""

from __future__ import annotations

from pgqueue.dashboard.actions.asked import Action, Asked, Done
from pgqueue.dashboard.forms import Form
from pgqueue.operations import Plan
from pgqueue.operations.auditing import audit


def noted(asked: Asked, verb: str, action: Action) -> Plan[Done]:
    """Do *action*, and note that: who, what, to what, with which answer."""
    done = yield from action(asked)
    target, count = (done.target, None) if done.target else _target(verb, asked.form)
    yield audit(
        asked.access.user,
        verb,
        target=target,
        count=count,
        answer=done.words,
        reason=asked.form.text("reason") or None,
    )
    return done


def _target(verb: str, form: Form) -> tuple[str | None, int | None]:
    """Return what the action changed: one job, queue or schedule, or a number of jobs.

    Only the form's fields that *verb* uses count, so that an added field cannot falsify the note.
    """
    match verb:
        case "pause" | "resume" | "limit":
            return f"queue {', '.join(form.all('queue'))}", None
        case "schedule":
            return f"schedule {form.text('name')}", None
        case "enqueue":
            retried = form.text("retried_from")
            return (f"job {retried}" if retried else f"task {form.text('task')}"), None
    ids = form.all("id")
    return (f"job {ids[0]}", None) if len(ids) == 1 else (None, len(ids))
