"""A proxy that cuts a connection in the middle of a script: before it, or before its answer."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Thread
from typing import Literal, Self

Cut = Literal["before it is carried out", "before its answer"]


class Proxy:
    """Passes everything on, until it is told to *cut*."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.cuts = 0
        self._cut: Cut | None = None
        self._every = 0
        self._scripts = 0

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def cut(self, when: Cut) -> None:
        """The next script's connection is cut."""
        self._cut = when

    def cut_every(self, scripts: int) -> None:
        """From now on, that of each so many."""
        self._every = scripts

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._to)) as server:
            muted, answered = Event(), Event()
            Thread(
                target=self._answers, args=(server, client, muted, answered), daemon=True
            ).start()
            while data := client.recv(65_536):
                cut = self._next_cut(data)
                if cut == "before it is carried out":
                    break
                if cut:
                    muted.set()
                server.sendall(data)
                if cut:
                    answered.wait(10)
                    break

    def _next_cut(self, data: bytes) -> Cut | None:
        if b"EVAL" not in data:
            return None
        self._scripts += 1
        cut, self._cut = self._cut, None
        if cut is None and self._every and self._scripts % self._every == 0:
            late = self._scripts // self._every % 2
            cut = "before its answer" if late else "before it is carried out"
        self.cuts += cut is not None
        return cut

    def _answers(
        self, server: socket.socket, client: socket.socket, muted: Event, answered: Event
    ) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if muted.is_set():
                    answered.set()
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
