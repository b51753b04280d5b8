"""Which topic wakes which agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgqueue.operations.topics import DUE, is_of_worker, of_worker

if TYPE_CHECKING:
    from pgqueue.worker.assembly import Agents


class Wakeups:
    """Routes notifications that the Listener hears, and events that agents notice themselves, to
    the agents concerned.

    It is made before the agents, which are given its methods; *routes_to* is called once all agents
    exist.
    """

    def __init__(self) -> None:
        self._agents: Agents | None = None

    def routes_to(self, agents: Agents) -> None:
        """From now on wake *agents*."""
        self._agents = agents

    def notified(self, topic: str) -> None:
        """A notification: a queue's name, what is due has changed, or one of our jobs was
        cancelled."""
        agents = self._agents
        if agents is None:
            return
        if topic == DUE:
            agents.promoter.woken()
            agents.rescuer.woken()
        elif is_of_worker(topic):
            if topic == of_worker(agents.listener.worker):
                agents.heartbeater.ask()
        else:
            agents.fetcher.notified(topic)

    def look(self, topic: str | None) -> None:
        """Look for *topic*, although nobody notified us. None: for everything, since notifications
        may have been lost together with a connection."""
        agents = self._agents
        if agents is None:
            return
        if topic is None:
            agents.rescuer.unsettled()
            agents.heartbeater.ask()
        if topic in (None, DUE):
            agents.promoter.look()
        if topic != DUE:
            agents.fetcher.look(topic)

    def ended(self) -> None:
        """The store knows of jobs that have ended here."""
        if self._agents is not None:
            self._agents.fetcher.ended()

    def look_for_work(self) -> None:
        """Jobs have become available somewhere."""
        if self._agents is not None:
            self._agents.fetcher.look()

    def report(self, id: int, lease: int, progress: str) -> None:
        """A running job has reported its progress."""
        if self._agents is not None:
            self._agents.completer.report(id, lease, progress)
