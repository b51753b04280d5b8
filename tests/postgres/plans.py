"""What the server really did, as its own auto_explain tells the connection that asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from psycopg import AsyncConnection
from psycopg.errors import Diagnostic

Node = dict[str, Any]
TABLES = ("job", "archive", "dependency", "worker", "queue", "leader")


class Scan(NamedTuple):
    """A table that was read; *by* an index, and how many of its *rows* were looked at."""

    kind: str
    table: str
    by: str | None
    rows: float


class Plans:
    """The plans of the statements that a connection has run, in order, those in functions too."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []

    @classmethod
    async def watch(cls, connection: AsyncConnection[Any]) -> Plans:
        plans = cls()
        await connection.execute(
            b"LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;"
            b"SET auto_explain.log_nested_statements = on; SET auto_explain.log_format = json;"
            b"SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off;"
            b"SET auto_explain.log_buffers = on;"
            b"SET client_min_messages = log",
            prepare=False,
        )
        connection.add_notice_handler(plans._keep)
        return plans

    def _keep(self, told: Diagnostic) -> None:
        _, found, document = (told.message_primary or "").partition("plan:")
        if found:
            self._nodes.append(json.loads(document)["Plan"])

    def __len__(self) -> int:
        return len(self._nodes)

    def nodes(self) -> Iterator[Node]:
        for node in self._nodes:
            yield from _walk(node)

    def kinds(self) -> set[str]:
        return {node["Node Type"] for node in self.nodes()}

    def scans(self, table: str = "") -> list[Scan]:
        """How the tables whose name begins with *table* were read, if they were."""
        return [
            scan
            for node in self.nodes()
            if (scan := _scan(node)) is not None and scan.table.startswith(table)
        ]

    def rows(self) -> float:
        """How many rows of our tables were looked at, in all."""
        return sum(scan.rows for scan in self.scans() if scan.table.startswith(TABLES))

    def names(self, table: str) -> set[str]:
        """The tables whose name begins with *table* that the plans name, whether read or not."""
        named = {node.get("Relation Name", "") for node in self.nodes()}
        return {name for name in named if name.startswith(table)}

    def pages(self) -> int:
        """How many pages were read, in memory or not."""
        return sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in self._nodes)

    def sorted_rows(self) -> float:
        """The most rows that were put into a sort."""
        sorts = [node for node in self.nodes() if node["Node Type"] == "Sort"]
        return max((_looked_at(below) for node in sorts for below in node["Plans"]), default=0)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for below in node.get("Plans", []):
        yield from _walk(below)


def _scan(node: Node) -> Scan | None:
    kind = node["Node Type"]
    if "Scan" not in kind or "Relation Name" not in node:
        return None
    index = node.get("Index Name")
    for below in node.get("Plans", []):
        index = index or below.get("Index Name")
    return Scan(kind, node["Relation Name"], index, _looked_at(node))


def _looked_at(node: Node) -> float:
    """In all; a page that is read whole is as good as one that an index led to."""
    removed = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
    each = float(node["Actual Rows"] + removed)
    if node["Node Type"] == "Seq Scan" and each < 100:
        return 0
    return each * float(node["Actual Loops"])
