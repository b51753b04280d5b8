"""What the queue stands on: store, schema, sizes, and what the doctor has found."""

from __future__ import annotations

from typing import Any, Final

from pgqueue.dashboard.access import Access
from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.pages.page import Page, View
from pgqueue.doctor import Finding
from pgqueue.operations import Operation, inspections

TABLES: Final = "doctor/tables"


class TableSize(Page):
    """What a table holds, as last counted, and weighs."""

    name: str
    live: int
    dead: int
    bytes: int
    index_bytes: int
    vacuumed_seconds: float | None


class SystemPage(Page):
    """The *store*, its schema, and the sizes of what changes all the time, where it has tables."""

    store: str
    capabilities: list[str]
    schema: str
    version: str
    head: str
    tables: list[TableSize]
    settings: dict[str, Any]
    findings: list[Finding]


def system(
    access: Access,
    query: Form,
    *,
    store: str,
    capabilities: list[str],
    schema: str,
    head: str,
    files: frozenset[str],
    settings: dict[str, Any],
    findings: list[Finding],
) -> View:
    """Return what the queue stands on; *files*: the statements that the store has.

    What the doctor says and how large tables are is about all queues, and for those who see all.
    """
    version: str = yield inspections.version()
    tables: list[TableSize] = []
    if TABLES in files and access.sees_all:
        tables = yield Operation(TABLES, {}, lambda a: [TableSize(*row) for row in a[0]])
    return SystemPage(
        store,
        capabilities,
        schema,
        version,
        head,
        tables,
        settings,
        findings if access.sees_all else [],
    )
