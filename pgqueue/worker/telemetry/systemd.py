"""What systemd is told of a service of `Type=notify`: that it is ready, that it lives."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress


class Systemd:
    """The socket on which a service speaks to systemd."""

    def __init__(self, address: str, watchdog_seconds: float | None = None) -> None:
        # A path, or a name in the abstract namespace, whose first character stands for NUL.
        self._address = address if address.startswith("/") else f"\0{address[1:]}"
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def found(cls, environment: MutableMapping[str, str] = os.environ) -> Systemd | None:
        """Returns what systemd has left in *environment*, and takes it out: it is for this process
        and not for those that it starts. None where there is nothing."""
        address = environment.pop("NOTIFY_SOCKET", None)
        usec, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        if not address:
            return None
        ours = pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if usec.isdigit() and ours else None)

    def say(self, *what: str) -> None:
        """Sends *what*, "READY=1" say; whether anybody hears it is not our business."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(what).encode(), self._address)
