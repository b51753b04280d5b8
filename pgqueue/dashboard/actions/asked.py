"""What is asked for by a post, and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from pgqueue.app import App
from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.jobs.job import Job
from pgqueue.operations import Plan, inspections


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for: who may do what, the form, and the application whose store it is."""

    access: Access
    form: Form
    app: App

    @property
    def notify(self) -> bool:
        """Whether the statement itself is to wake workers; else they are woken after the commit."""
        return not self.app.backend.wakes_after

    def sees(self, id: int) -> Plan[bool]:
        """Is job *id* in a queue that the viewer sees?"""
        if self.access.sees_all:
            return True
        found: dict[int, Job] = yield inspections.get([id])
        return id in found and self.access.sees(found[id].queue)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in *words*; *to*: the page where that is seen; *topics*: whom to wake;
    *target*: what was changed, for the audit, if the form's fields do not name it."""

    words: str
    to: str | None = None
    topics: Collection[str] = field(default=())
    target: str | None = None


Action: TypeAlias = Callable[[Asked], Plan[Done]]
