"""A queue that web applications share, and tasks that say where they ran."""

from __future__ import annotations

import os
import threading

from pgqueue import App

queue = App()


@queue.task
async def where() -> list[int]:
    return [os.getpid(), threading.get_ident()]


@queue.task
def where_plain() -> list[int]:
    return [os.getpid(), threading.get_ident()]
