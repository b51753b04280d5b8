"""An adapter as a third party would write it: messages are files, a folder is a queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgqueue.bridges import Again, Answer, Delivered, Message, Received, Unreachable


@dataclass(frozen=True)
class Folder:
    """A sink and a source: *to* names a folder in *root*, which must exist; "" is *root* itself."""

    root: Path
    batch: int = 10
    parallel: int = 1

    @property
    def place(self) -> str:
        return f"folder {self.root.name}"

    def check(self, message: Message) -> None:
        if "/" in (message.to or ""):
            raise ValueError("to: give a name without a slash")

    async def open(self) -> Line:
        if not self.root.is_dir():
            raise Unreachable(f"there is no {self.root.name}")
        return Line(self.root)

    async def examine(self) -> Sequence[str]:
        await self.open()
        return []


def sink(url: str) -> Folder:
    """What pgqueue asks of an adapter by its entry point: `folder:///a/path`."""
    return Folder(Path(url.partition("://")[2]))


source = sink


class Line:
    """Files in hand begin with a dot, and lose it when they are given back."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._in_hand: list[Path] = []

    async def send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        if not self._root.is_dir():
            raise Unreachable("the folder went")
        return [self._write(message) for message in messages]

    def _write(self, message: Message) -> Answer:
        folder = self._root / (message.to or "")
        if not folder.is_dir():
            return Again(f"there is no {message.to}")
        number = sum(1 for _ in folder.iterdir())
        body = message.body.decode("latin-1")
        (folder / f"{number:06}.json").write_text(json.dumps({"id": message.id, "body": body}))
        return Delivered()

    async def take(self, limit: int) -> Sequence[Received]:
        while not (found := sorted(self._root.glob("[0-9]*.json"))[:limit]):
            if not self._root.is_dir():
                raise Unreachable("the folder went")
            await asyncio.sleep(0.01)
        return [self._read(path) for path in found]

    def _read(self, path: Path) -> Received:
        told = json.loads(path.read_text())
        held = path.rename(path.with_name(f".{path.name}"))
        self._in_hand.append(held)
        return Received(id=told["id"], body=told["body"].encode("latin-1"), receipt=held)

    async def settle(self, messages: Sequence[Received]) -> None:
        for message in messages:
            message.receipt.unlink()
            self._in_hand.remove(message.receipt)

    async def release(self, messages: Sequence[Received]) -> None:
        await self.close()

    async def close(self) -> None:
        for path in self._in_hand:
            if path.exists():
                path.rename(path.with_name(path.name[1:]))
        self._in_hand.clear()
