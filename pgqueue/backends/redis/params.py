"""What an operation gives, as its script takes it: one MessagePack document.

Instants become microseconds since the epoch. JSON that only passes through, arguments and results
say, becomes text and stays so: no script ever decodes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from pgqueue.operations import Operation, Param

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TEXTS: Final = frozenset(
    {"name", "profile", "queue", "reason", "session", "source", "state", "tag", "task"}
)
_DOCUMENTS: Final = frozenset(
    {"edges", "elsewhere", "floors", "ids", "keep", "merged", "tags", "topics", "workflows"}
)


class _Row(msgspec.Struct, gc=False):
    task: str
    args: msgspec.Raw
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    delay_seconds: float | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    unique_key: str | None = None
    tags: list[str] | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    workflow: int | None = None
    blocked_by: int | None = None


class _Completed(msgspec.Struct, gc=False):
    lease: int
    ids: list[int]
    results: dict[str, msgspec.Raw]


_PLAIN: Final = (
    "queue",
    "priority",
    "max_attempts",
    "timeout_seconds",
    "unique_key",
    "tags",
    "workflow",
    "blocked_by",
)
_rows: Final = msgspec.json.Decoder(list[_Row])
_completed: Final = msgspec.json.Decoder(list[_Completed])
_objects: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PASSING: Final = frozenset({"args", "errors", "metadata", "progress", "result"})


def given(operation: Operation[Any]) -> dict[str, Any]:
    """What *operation* gives its script; what is None is left out."""
    return {
        name: _value(operation.name, name, text)
        for name, text in operation.params.items()
        if text is not None
    }


def instant(at: datetime) -> int:
    """Microseconds since the epoch."""
    return (at - _EPOCH) // _MICROSECOND


def datetime_of(instant: int) -> datetime:
    """The instant so many microseconds after the epoch."""
    return _EPOCH + instant * _MICROSECOND


def _value(operation: str, name: str, text: str) -> Any:
    if name == "jobs":
        return _JOBS.get(operation, msgspec.json.decode)(text)
    if name == "now":
        return instant(datetime.fromisoformat(text))
    if name in _DOCUMENTS:
        return msgspec.json.decode(text)
    if name == "retention":  # MessagePack's nil would be no field at all
        return {k: False if v is None else v for k, v in msgspec.json.decode(text).items()}
    if text in ("true", "false") and name in ("notify", "session"):
        return text == "true"
    if name in _TEXTS:
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _new(text: str) -> list[dict[str, Any]]:
    return [_row(row) for row in _rows.decode(text)]


def _row(row: _Row) -> dict[str, Any]:
    seen: dict[str, Any] = {"task": row.task, "args": str(row.args, "utf-8")}
    for name in _PLAIN:
        if (value := getattr(row, name)) is not None:
            seen[name] = value
    if metadata := _text(row.metadata):
        seen["metadata"] = metadata
    if row.run_at is not None:
        seen["run_at"] = instant(row.run_at)
    if row.delay_seconds is not None:
        seen["delay_seconds"] = row.delay_seconds
    return seen


def _done(text: str) -> list[dict[str, Any]]:
    return [
        {
            "lease": group.lease,
            "ids": group.ids,
            "results": {id: _text(result) for id, result in group.results.items()},
        }
        for group in _completed.decode(text)
    ]


def _failed(text: str) -> list[dict[str, Any]]:
    return [
        {
            name: _text(value) if name == "error" else msgspec.json.decode(value)
            for name, value in row.items()
            if bytes(value) != b"null"
        }
        for row in _objects.decode(text)
    ]


def _reported(text: str) -> list[dict[str, Any]]:
    return [
        {
            "id": msgspec.json.decode(row["id"]),
            "lease": msgspec.json.decode(row["lease"]),
            "progress": {k: _text(v) for k, v in _fields.decode(row["progress"]).items()},
        }
        for row in _objects.decode(text)
    ]


def _restored(text: str) -> list[dict[str, Any]]:
    """What is JSON in a job stays text; its errors one by one, its progress field by field."""
    rows = []
    for raw in _objects.decode(text):
        row: dict[str, Any] = {
            name: _text(value) if name in _PASSING else msgspec.json.decode(value)
            for name, value in raw.items()
            if bytes(value) != b"null"
        }
        if errors := row.get("errors"):
            row["errors"] = [_text(error) for error in _raws.decode(errors)]
        if progress := row.get("progress"):
            row["progress"] = {name: _text(v) for name, v in _fields.decode(progress).items()}
        row["edges"] = [{k: v for k, v in e.items() if v is not None} for e in row["edges"]]
        rows.append(row)
    return rows


def _without_nulls(text: str) -> list[dict[str, Any]]:
    rows: Iterable[Mapping[str, Param]] = msgspec.json.decode(text)
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()


_JOBS: Final[Mapping[str, Callable[[str], Any]]] = {
    "enqueue": _new,
    "enqueue_unique": _new,
    "complete": _done,
    "fail": _failed,
    "progress": _reported,
    "release": _without_nulls,
    "restore": _restored,
}
