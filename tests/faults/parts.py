"""Parts of a campaign: each a stage, played in a process of its own, some of them side by side.

They mostly wait: for a lease to run out, for a server to come back. So two side by side take little
longer than one. The process that started them shows their messages and receives their findings.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias

from tests.faults import pace
from tests.faults.rounds import Plan, Played, play
from tests.faults.scenarios import STAGES, prepare

Pipe: TypeAlias = "Connection[Any, Any]"
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Part:
    """A stage of *store*, and the names of those *kinds* of it that are to be dealt."""

    store: str
    stage: str
    kinds: tuple[str, ...]
    seconds: float
    seed: int
    folder: Path
    longest_pause: float
    shipped: bool = False


def perform(
    parts: Sequence[Part], at_once: int, tell: Callable[[Part, str], None]
) -> Iterator[tuple[Part, Played]]:
    """Plays *parts*, so many *at_once*, the first ones first; each as soon as it has ended.

    Raises RuntimeError when one of them fails; its message is printed by then.
    """
    waiting = list(parts)
    playing: dict[Pipe, tuple[Part, Any]] = {}
    try:
        while waiting or playing:
            while waiting and len(playing) < at_once:
                part = waiting.pop(0)
                pipe, far_end = _SPAWN.Pipe(duplex=False)
                process = _SPAWN.Process(target=_perform, args=(part, far_end), name=part.stage)
                process.start()
                far_end.close()
                playing[pipe] = part, process
            for ready in wait(list(playing)):
                part, process = playing[ready]  # type: ignore[index]
                try:
                    message = ready.recv()  # type: ignore[union-attr]
                except EOFError:
                    raise RuntimeError(
                        f"the stage {part.stage} was not played to its end"
                    ) from None
                if isinstance(message, Played):
                    process.join()
                    del playing[ready]  # type: ignore[arg-type]
                    yield part, message
                else:
                    tell(part, message)
    finally:
        for _, process in playing.values():
            process.terminate()  # it clears its stage before it goes
        for _, process in playing.values():
            process.join()


def _perform(part: Part, pipe: Pipe) -> None:
    """In a process of its own. Ctrl-C is for the one that started us."""
    signal.signal(signal.SIGINT, lambda *_: None)
    stopped = Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # connections break here all the time
    stage = STAGES[part.store][part.stage]
    kinds = [kind for kind in stage.kinds if kind.name in part.kinds]
    if part.shipped:
        pace.ship()
    plan = Plan(
        stage.open_site,
        kinds,
        part.seconds,
        part.seed,
        longest_pause=part.longest_pause,
        gap=stage.gap,
        prepare=prepare(kinds),
    )
    shown: list[str] = [""]

    def tell(text: str) -> None:
        if stopped.is_set():  # here, and not while a process is being started
            raise KeyboardInterrupt
        if text != shown[-1]:
            shown[:] = [text]
            pipe.send(text)

    try:
        pipe.send(play(plan, part.folder, tell))
    except KeyboardInterrupt:
        raise SystemExit(1) from None
