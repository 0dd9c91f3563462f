"""The sessions of the simulated broker's clients, present and away, and what they subscribed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from becomingone.broker.link import Qos
from becomingone.scheduling import NANOSECONDS, Scheduler
from becomingone.sim.packets import Connect, Publish
from becomingone.sim.session import Limits, Session
from becomingone.sim.subscriptions import Subscriptions


class Sessions:
    """All sessions.

    Parameters
    ----------
    scheduler : Scheduler
        Whose time they live in.
    limits : Limits
        Of the broker.
    dropped : callable
        Told of every message that a client will not be given.
    """

    def __init__(self, scheduler: Scheduler, limits: Limits, dropped: Callable[[str, Publish, str], None]) -> None:
        self._scheduler = scheduler
        self._limits = limits
        self._dropped = dropped
        self._by_client: dict[str, Session] = {}
        self._subscriptions = Subscriptions()

    def open(self, packet: Connect) -> tuple[Session, bool]:
        """Give the session of a client that connects, and whether it was there before (3.1.2.4)."""
        session = self._by_client.get(packet.client_id)
        if session is not None and not packet.session_s:
            self.forget(session)
            session = None
        present = session is not None
        if session is None:
            session = Session(
                packet.client_id, packet.user, packet.session_s, self._limits, self._scheduler, self._dropped
            )
            self._by_client[packet.client_id] = session
        session.session_s = packet.session_s
        return session, present

    def subscribe(self, session: Session, topic_filter: str, qos: Qos) -> None:
        """Take a subscription."""
        session.filters.add(topic_filter)
        self._subscriptions.add(session.client_id, topic_filter, qos)

    def takers(self, topic: str) -> Iterator[tuple[Session, Qos]]:
        """Give each session that takes a topic, once, with its greatest QoS."""
        for client_id, qos in self._subscriptions.matching(topic).items():
            yield self._by_client[client_id], qos

    def leave(self, session: Session) -> None:
        """Take note that a session's client is away; the session goes when its time has come (MQTT 5, 3.1.2.11.2)."""
        session.suspend()
        if not session.session_s:
            self.forget(session)
            return
        away = session.away

        def expire() -> None:
            if session.away == away and not session.present:
                self.forget(session)

        self._scheduler.call_at(self._scheduler.monotonic_ns() + session.session_s * NANOSECONDS, expire)

    def forget(self, session: Session) -> None:
        """End a session."""
        if self._by_client.get(session.client_id) is session:
            del self._by_client[session.client_id]
            for topic_filter in session.filters:
                self._subscriptions.remove(session.client_id, topic_filter)
        session.suspend()

    def crash(self, *, persistent: bool) -> None:
        """Lose all sessions, or all but those that are kept and were written down."""
        for session in list(self._by_client.values()):
            if persistent and session.session_s:
                self.leave(session)
                session.settle()
            else:
                self.forget(session)
