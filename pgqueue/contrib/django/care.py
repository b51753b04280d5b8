"""Do around each attempt of a job what Django does around a request."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import django
from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.apps import apps
from django.db import connections
from django.utils import timezone, translation

from pgqueue.tasks.context import Context

in_a_test: Final[ContextVar[bool]] = ContextVar("pgqueue_in_a_test", default=False)
"""Whether jobs run on the connection of a test, which all their code has to share."""


@contextmanager
def care(context: Context) -> Iterator[None]:
    """Leave no stale connection, query log, language or time zone of one attempt to the next.

    A coroutine's blocking code (its ORM calls) runs in a thread of the job's own: otherwise all
    jobs would share one thread, and with it one connection.
    """
    translation.deactivate()
    timezone.deactivate()
    if in_a_test.get():
        yield
    elif asyncio._get_running_loop() is None:
        tidy()
        try:
            yield
        finally:
            tidy()
    else:
        with _thread():
            yield


def tidy() -> None:
    """Close this thread's connections that are old or broken, and forget the queries they logged.

    A connection in an atomic block is left alone: closing it would undo other people's work.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.queries_log.clear()
            connection.close_if_unusable_or_obsolete()


_idle: Final[list[Executor]] = []
_threads: Final[Any] = SyncToAsync.context_to_thread_executor


@contextmanager
def _thread() -> Iterator[None]:
    """Inside, asgiref runs this task's blocking code in one thread, which no other task shares.

    Threads of earlier jobs are used again: they have a connection, if CONN_MAX_AGE keeps one.
    """
    sensitive = ThreadSensitiveContext()
    token = SyncToAsync.thread_sensitive_context.set(sensitive)
    if _idle:
        _threads[sensitive] = _idle.pop()
        _threads[sensitive].submit(tidy)
    try:
        yield
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)
        executor = _threads.pop(sensitive, None)
        if executor is not None:
            executor.submit(tidy)
            _idle.append(executor)


if not apps.ready and not apps.loading and "DJANGO_SETTINGS_MODULE" in os.environ:
    # A process of the pool comes here first, to run a task with executor="process"; the hook is
    # defined by now, as what Django sets up may import this module.
    django.setup()
