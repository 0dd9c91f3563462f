"""Messages of QoS 1 on their way to the broker: bounded, in order, and the fate of each told exactly once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from becomingone.broker.link import Settled

IN_FLIGHT: Final = 100
"""Messages that may be unacknowledged at once; fewer where the broker says so (its receive maximum)."""

QUEUED: Final = 1_000
"""Messages that may be under way or wait for it."""

QUEUED_BYTES: Final = 16 << 20
"""Bytes of topics and payloads that may be under way or wait for it."""

PROBE_AFTER: Final = 2
"""Connections that broke without an acknowledgement after which messages go out one by one, to find a culprit."""

CULPRIT_AFTER: Final = 5
"""Connections that broke without an acknowledgement after which the oldest message is given up."""

_PACKET_IDS: Final = 65_535


@dataclass(slots=True, eq=False)
class Entry:
    """One message of QoS 1.

    Parameters
    ----------
    topic, payload, retain, settled, content_type
        See `Link.publish`.
    expires_ns : int or None
        When the broker need not have it any more, on the scheduler's monotonic clock.
    packet_id : int or None
        Its packet identifier in the session that both sides have.
    sent : bool
        Whether it has been sent on any connection.
    """

    topic: str
    payload: bytes
    retain: bool
    settled: Settled | None
    content_type: str | None = None
    expires_ns: int | None = None
    packet_id: int | None = None
    sent: bool = False

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.topic) + len(self.payload)


class Outbox:
    """What has been taken at QoS 1 and not been acknowledged.

    A message that makes the broker throw the client out would be sent again after every reconnection, for ever. After
    `PROBE_AFTER` connections without an acknowledgement messages therefore go out singly, and after `CULPRIT_AFTER` the
    one that is always the first is given up.

    Attributes
    ----------
    window : int
        Messages that may be in flight on the present connection.
    """

    def __init__(self) -> None:
        self.window = IN_FLIGHT
        self._waiting: deque[Entry] = deque()
        self._flying: dict[int, Entry] = {}
        self._reserved: set[int] = set()
        self._bytes = 0
        self._last_id = 0
        self._barren = 0
        self._acknowledged = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)

    @property
    def in_flight(self) -> int:
        """Messages sent on the present connection and not acknowledged."""
        return len(self._flying)

    def add(self, entry: Entry) -> bool:
        """Take a message; False when it is full."""
        if len(self) >= QUEUED or (self._bytes + entry.size > QUEUED_BYTES and len(self) > 0):
            return False
        self._bytes += entry.size
        self._waiting.append(entry)
        return True

    def next_id(self) -> int:
        """Give a packet identifier that is not in use."""
        while True:
            self._last_id = self._last_id % _PACKET_IDS + 1
            if self._last_id not in self._flying and self._last_id not in self._reserved:
                return self._last_id

    def due(self) -> Iterator[Entry]:
        """Give the messages that may be sent now, oldest first; each must be `launch`ed or `drop`ped at once."""
        while self._waiting and len(self._flying) < (1 if self._barren >= PROBE_AFTER else self.window):
            yield self._waiting[0]

    def launch(self, packet_id: int) -> None:
        """Take note that the oldest waiting message has been sent."""
        entry = self._waiting.popleft()
        entry.packet_id = packet_id
        entry.sent = True
        self._reserved.discard(packet_id)
        self._flying[packet_id] = entry

    def drop(self) -> Entry:
        """Take the oldest waiting message out."""
        entry = self._waiting.popleft()
        if entry.packet_id is not None:
            self._reserved.discard(entry.packet_id)
        self._bytes -= entry.size
        return entry

    def acknowledge(self, packet_id: int) -> Entry | None:
        """Take the message out that the broker has answered; None when there is none."""
        entry = self._flying.pop(packet_id, None)
        if entry is not None:
            self._bytes -= entry.size
            self._acknowledged = True
            self._barren = 0
        return entry

    def interrupted(self) -> Entry | None:
        """Take note that the connection broke; give the message that is given up for it, if any."""
        flying = list(self._flying.values())
        self._flying.clear()
        self._reserved.update(entry.packet_id for entry in flying if entry.packet_id is not None)
        self._waiting.extendleft(reversed(flying))
        if flying and not self._acknowledged:
            self._barren += 1
        self._acknowledged = False
        if self._barren < CULPRIT_AFTER or not flying:
            return None
        self._barren = 0
        return self.drop()

    def begin(self, *, session_present: bool, window: int) -> None:
        """Take note of a new connection.

        Parameters
        ----------
        session_present : bool
            Whether the broker still has the session; packet identifiers mean nothing in a new one.
        window : int
            Messages that the broker takes at once, at least 1.
        """
        self.window = min(window, IN_FLIGHT)
        if not session_present:
            self._reserved.clear()
            for entry in self._waiting:
                entry.packet_id = None

    def clear(self) -> list[Entry]:
        """Take everything out, oldest first."""
        everything = [*self._flying.values(), *self._waiting]
        self._flying.clear()
        self._waiting.clear()
        self._reserved.clear()
        self._bytes = 0
        return everything
