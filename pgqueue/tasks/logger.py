"""`ctx.logger`: what a task logs names its job."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """Names the job in each message and, as *job_id* and *task*, in its record."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        job = self.extra or {}
        kwargs["extra"] = {**job, **(kwargs.get("extra") or {})}
        return f"{job['task']} {job['job_id']}: {msg}", kwargs
