"""Messages of a real link, in and out: what may be sent, what has been acknowledged, what the handlers have had."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from becomingone.broker.client import PahoClient, packet_bytes
from becomingone.broker.connection import Connection, reason_string
from becomingone.broker.incoming import Incoming
from becomingone.broker.link import Message, Metrics, Settled
from becomingone.broker.outbox import IN_FLIGHT, Entry, Outbox
from becomingone.broker.reasons import Reason
from becomingone.scheduling import NANOSECONDS, Clock

BACKLOG_BYTES: Final = 4 << 20
"""Bytes that may wait for the stream before messages of QoS 0 are refused."""

MAX_PACKET: Final = 268_435_455
"""Bytes of the largest packet that MQTT can carry (MQTT 3.1.1, 2.2.3)."""


class Owner(Protocol):
    """The link that the messages are those of."""

    metrics: Metrics

    def arrived(self, message: Message) -> None:
        """Take a message."""
        ...

    def settle(self, settled: Settled | None, *, acknowledged: bool) -> None:
        """Hear what became of a message of QoS 1."""
        ...

    def refuse(self, reason: Reason, line: str) -> None:
        """Hear that a message cannot be sent, or was refused."""
        ...

    def emptied(self) -> None:
        """Hear that nothing is unacknowledged any more."""
        ...


class Delivery:
    """Sends and takes a link's messages, over one connection after the other.

    Parameters
    ----------
    owner : Owner
        Hears what happens.
    loop : asyncio.AbstractEventLoop
        Gives turns outside paho's callbacks: what the owner does there may well fail, and paho would not recover.
    clock : Clock
        Counts the seconds until a message expires.
    kept : bool
        Whether the broker keeps the session: it then brings again what has not been acknowledged, so that what comes is
        acknowledged when the handlers have had it. Of a clean session nothing comes again in any case.
    """

    def __init__(self, owner: Owner, *, loop: asyncio.AbstractEventLoop, clock: Clock, kept: bool) -> None:
        self.largest: tuple[int, str, int] | None = None
        """Bytes, topic and time (monotonic, ns) of the largest message on this connection not known to be taken."""
        self._owner = owner
        self._loop = loop
        self._clock = clock
        self._kept = kept
        self._outbox = Outbox()
        self._connection: Connection | None = None
        self._max_packet = MAX_PACKET
        self._unhandled: deque[tuple[Message, mqtt.Client, int]] = deque()

    @property
    def packet_id(self) -> Callable[[], int]:
        """Gives packet identifiers that are not in use."""
        return self._outbox.next_id

    @property
    def empty(self) -> bool:
        """Whether nothing is unacknowledged."""
        return len(self._outbox) == 0

    def attach(self, client: PahoClient) -> None:
        """Hear a client's acknowledgements."""
        client.on_publish = self._on_publish

    def begin(self, connection: Connection, *, session_present: bool, properties: object) -> None:
        """Begin with a connection that the broker has accepted, within the limits that it has set."""
        self._connection = connection
        self._max_packet = getattr(properties, "MaximumPacketSize", MAX_PACKET)
        self._outbox.begin(session_present=session_present, window=getattr(properties, "ReceiveMaximum", IN_FLIGHT))

    def interrupted(self) -> None:
        """Keep what was not acknowledged for the next connection."""
        self._connection = None
        self._unhandled.clear()
        self.largest = None
        culprit = self._outbox.interrupted()
        if culprit is not None:
            line = f"the broker ends every connection on which it is sent a message to {culprit.topic[:200]}: given up"
            self._owner.refuse(Reason.MESSAGE, line)
            self._owner.settle(culprit.settled, acknowledged=False)
        self._measure()

    def give_up(self) -> None:
        """Settle whatever is left."""
        for entry in self._outbox.clear():
            self._owner.settle(entry.settled, acknowledged=False)
        self._measure()

    # -- out -------------------------------------------------------------------------------------------------------

    def send_once(
        self, topic: str, payload: bytes, *, retain: bool, expiry_s: float | None, content_type: str | None
    ) -> bool:
        """Send a message of QoS 0; False when it cannot be."""
        connection = self._connection
        if connection is None or connection.backlog > BACKLOG_BYTES:
            return False
        client = connection.client
        if not self._fits(client, topic, payload, 0, expiry_s, content_type):
            return False
        self._note_size(topic, len(payload))
        taken = client.send_once(topic, payload, retain=retain, expiry_s=expiry_s, content_type=content_type)
        if taken:
            connection.want_flush()
        return taken

    def take(self, entry: Entry, expiry_s: float | None) -> bool:
        """Take a message of QoS 1, and send it when its turn comes; False when it cannot be."""
        if self._connection is None or not self._fits(
            self._connection.client, entry.topic, entry.payload, 1, expiry_s, entry.content_type
        ):
            return False
        if expiry_s is not None:
            entry.expires_ns = self._clock.monotonic_ns() + int(expiry_s * NANOSECONDS)
        if not self._outbox.add(entry):
            return False
        self.pump()
        return True

    def pump(self) -> None:
        """Send what may be under way now."""
        connection = self._connection
        if connection is None:
            return
        for entry in self._outbox.due():
            left_s = None
            if entry.expires_ns is not None:
                left_s = (entry.expires_ns - self._clock.monotonic_ns()) / NANOSECONDS
            if not self._worth_sending(connection.client, entry, left_s):
                self._owner.settle(self._outbox.drop().settled, acknowledged=False)
                continue
            again = entry.sent
            packet_id = connection.client.send_entry(entry, left_s)
            if packet_id is None:  # the connection is ending; the next one begins with this message
                break
            self._outbox.launch(packet_id)
            self._owner.metrics.resent += again
            self._note_size(entry.topic, len(entry.payload))
        self._measure()

    def _worth_sending(self, client: PahoClient, entry: Entry, left_s: float | None) -> bool:
        if client.five and left_s is not None and left_s <= 0.0:
            self._owner.refuse(Reason.EXPIRED, f"a message to {entry.topic[:200]} expired before it could be sent")
            return False
        return self._fits(client, entry.topic, entry.payload, 1, left_s, entry.content_type)

    def _fits(
        self, client: PahoClient, topic: str, payload: bytes, qos: int, expiry_s: float | None, content_type: str | None
    ) -> bool:
        most = 4 * (len(topic) + len(content_type or "")) + len(payload) + 32
        if most <= min(self._max_packet, 1 << 16):  # the common case, without counting
            return True
        size = packet_bytes(topic, payload, qos, client.properties(expiry_s, content_type))
        if size > self._max_packet:
            text = (
                f"a message of {size} bytes to {topic[:200]} is more than the {self._max_packet} that the broker takes"
            )
            self._owner.refuse(Reason.TOO_LARGE, text)
        return size <= self._max_packet

    def _note_size(self, topic: str, size: int) -> None:
        if self.largest is None or size >= self.largest[0]:
            self.largest = size, topic, self._clock.monotonic_ns()

    def _on_publish(
        self, _client: mqtt.Client, _data: object, packet_id: int, reason: ReasonCode, properties: object
    ) -> None:
        entry = self._outbox.acknowledge(packet_id)
        if entry is None:  # of QoS 0: paho tells when it has been written
            return
        if self.largest is not None and entry.topic == self.largest[1]:
            self.largest = None
        self._loop.call_soon(self._acknowledged, entry, reason, reason_string(properties))

    def _acknowledged(self, entry: Entry, reason: ReasonCode, said: str) -> None:
        if reason.is_failure:
            self._owner.refuse(Reason.MESSAGE, f"the broker refused a message to {entry.topic[:200]}: {reason}{said}")
        self._owner.settle(entry.settled, acknowledged=not reason.is_failure)
        self.pump()
        if self.empty:
            self._owner.emptied()

    def _measure(self) -> None:
        metrics = self._owner.metrics
        metrics.in_flight = self._outbox.in_flight
        metrics.queued = len(self._outbox) - self._outbox.in_flight

    # -- in --------------------------------------------------------------------------------------------------------

    def incoming(self, packet: Incoming) -> None:
        """Take a message from the broker."""
        message = Message(packet.topic, packet.payload, packet.retained, self._clock.monotonic_ns())
        if packet.packet_id and self._connection is not None:
            if self._kept:
                self._unhandled.append((message, self._connection.client, packet.packet_id))
            else:
                self._connection.client.ack(packet.packet_id, 1)
        self._owner.arrived(message)

    def handled(self, message: Message) -> None:
        """Acknowledge what the handlers have had, where that matters."""
        if self._unhandled and self._unhandled[0][0] is message:
            _, client, packet_id = self._unhandled.popleft()
            client.ack(packet_id, 1)
