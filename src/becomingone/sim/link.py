"""A link to the simulated broker: what `PahoLink` is to a real one, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from becomingone.broker.backoff import Backoff
from becomingone.broker.base import LinkBase
from becomingone.broker.link import Message, Qos, Settled, Will
from becomingone.broker.outbox import Entry
from becomingone.broker.reasons import Reason, of_code
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer
from becomingone.sim.connection import Connection
from becomingone.sim.delivery import Delivery
from becomingone.sim.events import Note
from becomingone.sim.keepalive import KeepAlive
from becomingone.sim.network import Caller
from becomingone.sim.packets import (
    Code,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Ping,
    Pong,
    Puback,
    Publish,
    Suback,
    Subscribe,
)

ANSWER_NS: Final = 5 * NANOSECONDS
"""For the broker's answer to CONNECT, and again to SUBSCRIBE."""

GOODBYE_NS: Final = NANOSECONDS
"""Closing waits so long for the broker to acknowledge what is of QoS 1."""


class SimLink(LinkBase):
    """A link to a `SimBroker`; made by `SimBroker.link`.

    Parameters
    ----------
    client_id, will, scheduler, backoff
        See `LinkBase`.
    user : str
        The MQTT user name.
    session_s : int
        Seconds that the broker is to keep the session.
    keepalive_s : int
        Seconds of silence after which it pings; 0 for never.
    dial : callable
        Opens a connection for a caller; returns what calls that off.
    note : callable
        Takes note of what happens.
    """

    def __init__(
        self,
        client_id: str,
        will: Will | None,
        *,
        scheduler: Scheduler,
        backoff: Backoff,
        user: str,
        session_s: int,
        keepalive_s: int,
        dial: Callable[[Caller], Callable[[], None]],
        note: Note,
    ) -> None:
        super().__init__(client_id, will, scheduler, backoff)
        self._user = user
        self._session_s = session_s
        self._keepalive = KeepAlive(
            scheduler,
            keepalive_s,
            ping=lambda: self._transmit(Ping()),
            dead=lambda: self._break(Reason.SILENT, Code.KEEP_ALIVE.text),
        )
        self._dial = dial
        self._note = note
        self._delivery = Delivery(self, scheduler)
        self._give_up: Callable[[], None] | None = None
        self._connection: Connection | None = None
        self._asked: dict[int, tuple[tuple[str, Qos], ...]] = {}
        self._first_subscribe = 0
        self._refusal: tuple[Reason, str] | None = None
        self._deadline: Timer | None = None
        self._on_goodbye: Callable[[], None] | None = None

    # -- making a connection ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._give_up = self._dial(self)

    def opened(self, connection: Connection) -> None:
        """See `network.Caller.opened`."""
        self._give_up = None
        self._connection = connection
        connection.client = self
        self._refusal = None
        self._asked.clear()
        self._keepalive.start()
        self._transmit(Connect(self.client_id, self._user, self.will, self._session_s, self._keepalive.seconds))
        self._wait_for_an_answer()

    def refused(self, reason: Reason, line: str) -> None:
        """See `network.Caller.refused`."""
        self._give_up = None
        self._failed(reason, line)

    def receive(self, packet: Packet) -> None:
        """See `connection.End.receive`."""
        self._keepalive.heard()
        match packet:
            case Publish():
                self._take(packet)
            case Puback():
                self._delivery.acknowledged(packet)
            case Pong():
                self._keepalive.answered()
            case Connack():
                self._greeted(packet)
            case Suback():
                self._answered(packet)
            case Disconnect():
                self._refusal = of_code(packet.code), f"the broker ended the connection: {packet.code.text}"
            case _:
                self._break(Reason.PROTOCOL, "the broker broke the protocol")

    def _greeted(self, packet: Connack) -> None:
        if packet.code is not Code.SUCCESS:
            self._refusal = of_code(packet.code), f"the broker refused the connection: {packet.code.text}"
            return
        self._wait_for_an_answer()
        self._delivery.begin(self._transmit, packet)
        filters = self._filters()
        if filters:
            self._first_subscribe = self._subscribe(filters)
        else:
            self._granted()

    def _answered(self, packet: Suback) -> None:
        for (name, _), code in zip(self._asked.pop(packet.number, ()), packet.codes, strict=False):
            if code is not Code.SUCCESS:
                text = f"the broker refused a subscription, {name}: {code.text}"
                if name in self._optional:
                    self.refuse(Reason.SUBSCRIPTION, text)
                    continue
                self._break(Reason.SUBSCRIPTION, text)
                return
        if packet.number == self._first_subscribe:
            self._granted()

    def _granted(self) -> None:
        if self._closing or self.connected:
            return
        self._cancel(self._deadline)
        self._note("up", self.client_id)
        self._delivery.pump()  # before anything new: 4.6.0-1
        self._accepted()

    def _ask(self, filters: list[tuple[str, Qos]]) -> None:
        self._subscribe(filters)

    def _subscribe(self, filters: list[tuple[str, Qos]]) -> int:
        number = self._delivery.next_id()
        self._asked[number] = tuple(filters)
        self._transmit(Subscribe(number, tuple(filters)))
        return number

    # -- its end ---------------------------------------------------------------------------------------------------

    def broken(self, reason: Reason) -> None:
        """See `connection.End.broken`."""
        self._ended(reason, f"the {reason}" if reason is Reason.BROKEN else str(reason))

    def abandon(self) -> None:
        """Stop for ever, without a goodbye."""
        self._closing = True
        self.connected = False
        self._cancel(self._retry)
        self._let_go()
        self._silence()

    def _break(self, reason: Reason, line: str) -> None:
        """Let go of a connection that is of no use; the broker publishes the will."""
        if self._connection is not None:
            self._connection.close_client()
            self._refusal = None
            self._ended(reason, line)

    def _ended(self, reason: Reason, line: str) -> None:
        self._let_go()
        if self._on_goodbye is not None:
            self._finish()
            return
        reason, line = self._refusal or (reason, line)
        self._note("down", self.client_id, why=line)
        self._failed(reason, line, lasting=reason.lasting)

    def _let_go(self) -> None:
        if self._give_up is not None:
            self._give_up()
        if self._connection is not None:
            self._connection.client = None
        self._give_up = self._connection = None
        self._cancel(self._deadline)
        self._keepalive.stop()
        self._delivery.interrupted()

    def _goodbye(self, done: Callable[[], None]) -> None:
        self._on_goodbye = done
        if not self.connected or self._delivery.empty:
            self._leave()
        else:
            self._deadline = self._later(GOODBYE_NS, self._leave)

    def emptied(self) -> None:
        """Hear from the delivery that nothing is unacknowledged any more."""
        if self._on_goodbye is not None:
            self._leave()

    def _leave(self) -> None:
        connection = self._connection
        if connection is not None:
            if self.connected:
                self._transmit(Disconnect())
            connection.close_client()
        self._let_go()
        self._finish()

    def _finish(self) -> None:
        done, self._on_goodbye = self._on_goodbye, None
        self.connected = False
        self._silence()
        self._delivery.give_up()
        if done is not None:
            self._scheduler.post(done)

    # -- messages --------------------------------------------------------------------------------------------------

    def _send(
        self,
        topic: str,
        payload: bytes,
        qos: Qos,
        retain: bool,
        settled: Settled | None,
        expiry_s: float | None,
        content_type: str | None,
    ) -> bool:
        self._note("send", self.client_id, topic, payload)
        if qos:
            return self._delivery.take(Entry(topic, payload, retain, settled, content_type), expiry_s)
        backlog = 0 if self._connection is None else len(self._connection.up.waiting)
        message = Publish(topic, payload, 0, retain, expiry_s=expiry_s, content_type=content_type)
        return self._delivery.send_once(message, backlog=backlog)

    def settle(self, settled: Settled | None, *, acknowledged: bool) -> None:
        """Hear from the delivery what became of a message of QoS 1."""
        self._settle(settled, acknowledged=acknowledged)

    def refuse(self, reason: Reason, line: str) -> None:
        """Hear from the delivery that a message cannot be sent, or was refused."""
        self._refuse(reason, line)

    def _take(self, packet: Publish) -> None:
        self._note("deliver", self.client_id, packet.topic, packet.payload)
        message = Message(packet.topic, packet.payload, packet.retain)
        self._delivery.came(message, packet)
        self._arrived(message)

    def _route(self, message: Message) -> None:
        try:
            super()._route(message)
        finally:
            self._delivery.handled(message)

    def _transmit(self, packet: Packet) -> None:
        if self._connection is not None:
            self._keepalive.said()
            self._connection.up.send(packet)

    # -- time ------------------------------------------------------------------------------------------------------

    def _wait_for_an_answer(self) -> None:
        self._cancel(self._deadline)
        text = "the broker did not answer CONNECT or SUBSCRIBE"
        self._deadline = self._later(ANSWER_NS, lambda: self._break(Reason.SILENT, text))

    def _later(self, delay_ns: int, callback: Callable[[], None]) -> Timer:
        return self._scheduler.call_at(self._scheduler.monotonic_ns() + delay_ns, callback)

    @staticmethod
    def _cancel(timer: Timer | None) -> None:
        if timer is not None:
            timer.cancel()
