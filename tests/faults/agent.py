"""What goes on in a thread of its own beside the workers of a campaign."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import ClassVar


class Agent(ABC):
    """A thread that does `_work`, which returns soon after *_stopping* is set.

    *error*: what ended it before its time. *patience*: how many seconds `stop` waits for its end.
    """

    patience: ClassVar[float] = 60

    def __init__(self) -> None:
        self._stopping = threading.Event()
        name = type(self).__name__.lower()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when what it was doing has ended; it may not have been started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self.patience)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
            raise

    @abstractmethod
    def _work(self) -> None: ...
