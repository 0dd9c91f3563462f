"""The simulated broker: MQTT over virtual time, behind the same link interface as a real one.

Wildcards, retained messages, QoS 0 and 1, wills and session takeover as MQTT 3.1.1 has them, with clean sessions.
A connection is a pair of ordered channels with a delay, as TCP is; what is in flight when it breaks is lost, and a
link sends again what it had sent at QoS 1 and was not acknowledged, once it is back (4.4).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from becomingone.broker.backoff import Backoff
from becomingone.broker.base import LinkBase
from becomingone.broker.link import Message, Qos, Settled, Will
from becomingone.scheduling import Scheduler
from becomingone.wire.topics import matches

_NS_PER_US = 1_000


@dataclass(slots=True)
class TraceEntry:
    """One message as the broker took it: mesh time in µs, the publisher's client id, topic, payload."""

    time_us: int
    client_id: str
    topic: str
    payload: bytes


@dataclass(slots=True, eq=False)
class _Session:
    link: SimLink
    open: bool = True
    filters: dict[str, Qos] = field(default_factory=dict[str, Qos])
    up_free_ns: int = 0
    down_free_ns: int = 0


class SimBroker:
    """A broker in virtual time.

    Parameters
    ----------
    scheduler : Scheduler
        Whose time it lives in.
    rng : random.Random
        Draws the delays.
    delay_us : tuple of float
        Least and greatest one-way delay of a packet, µs, drawn uniformly; packets of one direction never overtake.
    """

    def __init__(
        self, scheduler: Scheduler, rng: random.Random, *, delay_us: tuple[float, float] = (100.0, 300.0)
    ) -> None:
        self.retained: dict[str, bytes] = {}
        self.trace: list[TraceEntry] = []
        self._scheduler = scheduler
        self._rng = rng
        self._delay_us = delay_us
        self._up = True
        self._sessions: dict[str, _Session] = {}
        self._links: dict[str, SimLink] = {}

    def link(self, client_id: str, will: Will | None) -> SimLink:
        """Make a link to this broker; see `LinkFactory`."""
        backoff = Backoff(random.Random(self._rng.random()))  # noqa: S311 - replayable on purpose
        link = SimLink(client_id, will, self, self._scheduler, backoff)
        self._links[client_id] = link
        return link

    def crash(self) -> None:
        """Die: every connection breaks without a will, and everything that was retained is gone."""
        self._up = False
        self.retained.clear()
        for session in list(self._sessions.values()):
            self._end(session, publish_will=False)

    def restart(self) -> None:
        """Come back, empty."""
        self._up = True

    def cut(self, client_id: str) -> None:
        """Break a client's connection without a goodbye, as pulling its plug does; its will is published."""
        session = self._sessions.get(client_id)
        if session is not None:
            self._end(session, publish_will=True)

    def kill(self, client_id: str) -> None:
        """Break a client's connection like `cut`, and let it never come back."""
        self._links[client_id].abandon()
        self.cut(client_id)

    def connect(self, link: SimLink) -> None:
        """Take a CONNECT; the link hears `accepted` or `refused` one round trip later."""
        delay = 2 * self._delay_ns()
        if not self._up:
            self._later(delay, lambda: link.refused("the broker is not there"))
            return
        before = self._sessions.get(link.client_id)
        if before is not None:  # MQTT-3.1.4-2: the newer connection of a client id wins
            self._end(before, publish_will=True)
        session = _Session(link)
        self._sessions[link.client_id] = session
        self._later(delay, lambda: link.accepted(session) if session.open else link.refused("the connection broke"))

    def subscribe(self, session: _Session, filters: list[tuple[str, Qos]], granted: Callable[[], None]) -> None:
        """Take a SUBSCRIBE: it is granted, and what is retained under the filters is sent (MQTT 3.1.1, 3.8.4)."""

        def arrived() -> None:
            self._downward(session, granted)
            self._subscribed(session, filters)

        self._upward(session, arrived)

    def publish(self, session: _Session, message: Message, qos: Qos, acknowledge: Callable[[], None]) -> None:
        """Take a PUBLISH, and acknowledge it at QoS 1."""

        def arrived() -> None:
            self._accept(session.link.client_id, message)
            if qos:
                self._downward(session, acknowledge)

        self._upward(session, arrived)

    def disconnect(self, session: _Session, done: Callable[[], None]) -> None:
        """Take a DISCONNECT: the will is forgotten."""

        def arrived() -> None:
            self._end(session, publish_will=False)
            done()

        self._upward(session, arrived)

    def _subscribed(self, session: _Session, filters: list[tuple[str, Qos]]) -> None:
        for topic_filter, qos in filters:
            session.filters[topic_filter] = qos
            for topic, payload in sorted(self.retained.items()):
                if matches(topic_filter, topic):
                    self._to(session, Message(topic, payload, retained=True))

    def _accept(self, client_id: str, message: Message) -> None:
        self.trace.append(TraceEntry(self._scheduler.time_us(), client_id, message.topic, message.payload))
        if message.retained:
            if message.payload:
                self.retained[message.topic] = message.payload
            else:
                self.retained.pop(message.topic, None)
        for session in list(self._sessions.values()):
            if any(matches(topic_filter, message.topic) for topic_filter in session.filters):
                self._to(session, Message(message.topic, message.payload))

    def _to(self, session: _Session, message: Message) -> None:
        self._downward(session, lambda: session.link.arrived(message))

    def _end(self, session: _Session, *, publish_will: bool) -> None:
        if not session.open:
            return
        session.open = False
        if self._sessions.get(session.link.client_id) is session:
            del self._sessions[session.link.client_id]
        will = session.link.will
        if publish_will and will is not None:
            self._accept(session.link.client_id, Message(will.topic, will.payload, retained=True))
        self._later(self._delay_ns(), lambda: session.link.broken(session))

    def _delay_ns(self) -> int:
        return int(self._rng.uniform(*self._delay_us) * _NS_PER_US)

    def _later(self, delay_ns: int, callback: Callable[[], None]) -> None:
        self._scheduler.call_at(self._scheduler.monotonic_ns() + delay_ns, callback)

    def _upward(self, session: _Session, callback: Callable[[], None]) -> None:
        session.up_free_ns = max(session.up_free_ns, self._scheduler.monotonic_ns() + self._delay_ns())
        self._scheduler.call_at(session.up_free_ns, lambda: callback() if session.open else None)

    def _downward(self, session: _Session, callback: Callable[[], None]) -> None:
        session.down_free_ns = max(session.down_free_ns, self._scheduler.monotonic_ns() + self._delay_ns())
        self._scheduler.call_at(session.down_free_ns, lambda: callback() if session.open else None)


class SimLink(LinkBase):
    """A link to a `SimBroker`; made by `SimBroker.link`."""

    def __init__(
        self, client_id: str, will: Will | None, broker: SimBroker, scheduler: Scheduler, backoff: Backoff
    ) -> None:
        super().__init__(client_id, will, scheduler, backoff)
        self._broker = broker
        self._session: _Session | None = None
        self._unacked: dict[int, tuple[Message, Settled | None]] = {}
        self._next = 0

    def accepted(self, session: _Session) -> None:
        """Hear the broker's CONNACK."""
        if self._closing:
            self._broker.disconnect(session, lambda: None)
            return
        self._session = session
        self._broker.subscribe(session, self._filters(), lambda: self._granted(session))

    def _granted(self, session: _Session) -> None:
        """Hear the broker's SUBACK."""
        if self._closing or self._session is not session:
            return
        again, self._unacked = self._unacked, {}
        for message, settled in again.values():  # before anything new: MQTT-4.6.0-1
            self._transmit(message, 1, settled)
        self._accepted()

    def refused(self, reason: str) -> None:
        """Hear that there is no connection."""
        self._failed(reason)

    def broken(self, session: _Session) -> None:
        """Hear that the connection broke."""
        if self._session is session:
            self._session = None
            self._failed("the connection broke")

    def abandon(self) -> None:
        """Stop for ever, without a goodbye."""
        self._closing = True
        self.connected = False
        self._session = None

    def arrived(self, message: Message) -> None:
        """Take a message from the broker."""
        self._arrived(message)

    def _open(self) -> None:
        self._broker.connect(self)

    def _ask(self, filters: list[tuple[str, Qos]]) -> None:
        if self._session is not None:
            self._broker.subscribe(self._session, filters, lambda: None)

    def _send(self, topic: str, payload: bytes, qos: Qos, retain: bool, settled: Settled | None) -> bool:
        self._transmit(Message(topic, payload, retain), qos, settled)
        return True

    def _transmit(self, message: Message, qos: Qos, settled: Settled | None) -> None:
        if self._session is None:
            return
        number = self._next
        self._next += 1
        if qos:
            self._unacked[number] = message, settled

        def acknowledge() -> None:
            if self._unacked.pop(number, None) is not None:
                self._settle(settled, acknowledged=True)

        self._broker.publish(self._session, message, qos, acknowledge)

    def _goodbye(self, done: Callable[[], None]) -> None:
        session, self._session = self._session, None
        self.connected = False

        def end() -> None:
            unacked, self._unacked = self._unacked, {}
            for _, settled in unacked.values():
                self._settle(settled, acknowledged=False)
            done()

        if session is None:
            end()
        else:
            self._broker.disconnect(session, end)
