"""The Gatekeeper: claims nothing for an outlet whose broker is away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from time import monotonic

from pgqueue.bridges import Outlet
from pgqueue.bridges.sender import Sender
from pgqueue.jobs.tally import Bridge, Outgoing
from pgqueue.views.bridges import BridgeState
from pgqueue.worker.agents.fetcher import Fetcher
from pgqueue.worker.service import Service, log


class Gatekeeper(Service):
    """While the gate of an outlet is shut, its queue is not served: its jobs wait at no cost, and
    those in hand have been given back. *tell* is called when a gate has changed."""

    def __init__(
        self,
        outlets: Iterable[Outlet],
        fetcher: Fetcher,
        queues: Mapping[str, int | None],
        tell: Callable[[], None],
    ) -> None:
        self._outlets = [outlet for outlet in outlets if outlet.name in queues]
        self._fetcher = fetcher
        self._queues = queues
        self._tell = tell
        self._senders: dict[str, Sender] = {}
        self._shut_at: dict[str, datetime] = {}
        self._shut_since: dict[str, float | None] = {each.name: None for each in self._outlets}

    async def run(self) -> None:
        for outlet in self._outlets:
            self._senders[outlet.name] = outlet.sender
            outlet.sender.changed.append(self._teller(outlet))

    def figures(self) -> list[Bridge]:
        """How each of its outlets is; any thread may ask."""
        now = monotonic()
        return [
            Bridge(name, away=0.0 if since is None else now - since, out=self._sent(name))
            for name, since in list(self._shut_since.items())
        ]

    def _sent(self, name: str) -> Outgoing:
        sender = self._senders.get(name)
        return Outgoing() if sender is None else sender.figures()

    def states(self) -> list[BridgeState]:
        """The state of each of its outlets; to be called in the event loop's thread."""
        return [
            BridgeState(
                name=outlet.name,
                kind="outlet",
                place=outlet.sink.place,
                away_since=self._shut_at.get(outlet.name),
                why=outlet.sender.why,
                next_look_at=outlet.sender.next_look_at,
            )
            for outlet in self._outlets
        ]

    def _teller(self, outlet: Outlet) -> Callable[[str | None], None]:
        def changed(why: str | None) -> None:
            self._shut_since[outlet.name] = outlet.sender.shut_since
            if why is not None:
                self._shut_at[outlet.name] = datetime.now(UTC)
                log.warning("outlet %s: its messages wait: %s", outlet.name, why)
                self._fetcher.leave([outlet.name])
            else:
                self._shut_at.pop(outlet.name, None)
                log.info("outlet %s: %s is back", outlet.name, outlet.sink.place)
                self._fetcher.serve({outlet.name: self._queues[outlet.name]})
            self._tell()

        return changed
