"""Messages of a simulated link, in and out: the same outbox as a real link's, and the same order of things."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from becomingone.broker.link import Message, Metrics, Settled
from becomingone.broker.outbox import IN_FLIGHT, Entry, Outbox
from becomingone.broker.reasons import Reason
from becomingone.scheduling import NANOSECONDS, Clock
from becomingone.sim.packets import Code, Connack, Packet, Puback, Publish

MAX_PACKET: Final = 268_435_455
"""Bytes of the largest packet that MQTT can carry (2.2.3)."""

BACKLOG_PACKETS: Final = 10_000
"""Packets that may wait on a connection that stands still before messages of QoS 0 are refused."""


class Owner(Protocol):
    """The link that the messages are those of."""

    metrics: Metrics

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
    """Sends a link's messages over one connection after the other, and acknowledges what its handlers have had.

    Parameters
    ----------
    owner : Owner
        Hears what happens.
    clock : Clock
        Counts the seconds until a message expires.
    """

    def __init__(self, owner: Owner, clock: Clock) -> None:
        self._owner = owner
        self._clock = clock
        self._outbox = Outbox()
        self._send: Callable[[Packet], None] | None = None
        self._five = False
        self._max_packet = MAX_PACKET
        self._unhandled: deque[tuple[Message, int]] = deque()

    @property
    def empty(self) -> bool:
        """Whether nothing is unacknowledged."""
        return len(self._outbox) == 0

    def next_id(self) -> int:
        """Give a packet identifier that is not in use."""
        return self._outbox.next_id()

    def begin(self, send: Callable[[Packet], None], greeting: Connack) -> None:
        """Begin with a connection that the broker has accepted, within the limits that it has set."""
        self._send = send
        self._five = greeting.five
        self._max_packet = greeting.max_packet or MAX_PACKET
        self._outbox.begin(session_present=greeting.session_present, window=greeting.receive_max or IN_FLIGHT)

    def interrupted(self) -> None:
        """Keep what was not acknowledged for the next connection."""
        self._send = None
        self._unhandled.clear()
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

    def send_once(self, message: Publish, *, backlog: int) -> bool:
        """Send a message of QoS 0; False when it cannot be."""
        if self._send is None or backlog > BACKLOG_PACKETS or not self._fits(message):
            return False
        self._send(message)
        return True

    def take(self, entry: Entry, expiry_s: float | None) -> bool:
        """Take a message of QoS 1, and send it when its turn comes; False when it cannot be."""
        if self._send is None or not self._fits(Publish(entry.topic, entry.payload, 1)):
            return False
        if expiry_s is not None:
            entry.expires_ns = self._clock.monotonic_ns() + int(expiry_s * NANOSECONDS)
        if not self._outbox.add(entry):
            return False
        self.pump()
        return True

    def pump(self) -> None:
        """Send what may be under way now."""
        for entry in self._outbox.due() if self._send is not None else ():
            left_s = None
            if entry.expires_ns is not None:
                left_s = (entry.expires_ns - self._clock.monotonic_ns()) / NANOSECONDS
            if not self._worth_sending(entry, left_s):
                self._owner.settle(self._outbox.drop().settled, acknowledged=False)
                continue
            again, dup = entry.sent, entry.packet_id is not None
            number = entry.packet_id or self.next_id()
            self._outbox.launch(number)
            self._owner.metrics.resent += again
            if self._send is not None:
                self._send(
                    Publish(
                        entry.topic,
                        entry.payload,
                        1,
                        entry.retain,
                        dup=dup,
                        number=number,
                        expiry_s=left_s,
                        content_type=entry.content_type,
                    )
                )
        self._measure()

    def acknowledged(self, packet: Puback) -> None:
        """Hear what the broker says to a message."""
        entry = self._outbox.acknowledge(packet.number)
        if entry is None:  # the second answer to a message that was doubled on the way
            return
        taken = packet.code is Code.SUCCESS
        if not taken:
            self._owner.refuse(
                Reason.MESSAGE, f"the broker refused a message to {entry.topic[:200]}: {packet.code.text}"
            )
        try:
            self._owner.settle(entry.settled, acknowledged=taken)
        finally:
            self.pump()
            if self.empty:
                self._owner.emptied()

    def _worth_sending(self, entry: Entry, left_s: float | None) -> bool:
        if self._five and left_s is not None and left_s <= 0.0:
            self._owner.refuse(Reason.EXPIRED, f"a message to {entry.topic[:200]} expired before it could be sent")
            return False
        return self._fits(Publish(entry.topic, entry.payload, 1))

    def _fits(self, message: Publish) -> bool:
        size = message.size
        if size > self._max_packet:
            text = f"a message of {size} bytes to {message.topic[:200]} is more than the {self._max_packet} that"
            self._owner.refuse(Reason.TOO_LARGE, f"{text} the broker takes")
        return size <= self._max_packet

    def _measure(self) -> None:
        metrics = self._owner.metrics
        metrics.in_flight = self._outbox.in_flight
        metrics.queued = len(self._outbox) - self._outbox.in_flight

    # -- in --------------------------------------------------------------------------------------------------------

    def came(self, message: Message, packet: Publish) -> None:
        """Take note of a message that the handlers are about to have."""
        if packet.qos:
            self._unhandled.append((message, packet.number))

    def handled(self, message: Message) -> None:
        """Acknowledge what the handlers have had: a kept session brings again what they have not."""
        if self._unhandled and self._unhandled[0][0] is message:
            _, number = self._unhandled.popleft()
            if self._send is not None:
                self._send(Puback(number))
