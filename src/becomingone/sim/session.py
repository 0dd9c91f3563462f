"""A client's session at the simulated broker: what is on its way to the client, and what waits for it (MQTT 5, 4.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from becomingone.broker.link import Qos
from becomingone.scheduling import Scheduler
from becomingone.sim.packets import Packet, Publish

MAX_NUMBER: Final = 65_535
"""The greatest packet identifier (2.2.1)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a broker speaks and bears; the defaults are Mosquitto's, but for the packet, which is what ours is set to.

    Parameters
    ----------
    version : {4, 5}
        The greatest protocol: 4 is MQTT 3.1.1, which has no message expiry and no reason in an acknowledgement.
    max_inflight : int
        Messages of QoS 1 that one client may have to acknowledge at a time.
    max_queued : int
        Messages of QoS 1 that wait for one client; and the packets on a connection that stands still beyond which
        messages of QoS 0 are dropped.
    max_packet : int
        The greatest packet, bytes; whoever sends a greater one is thrown out.
    """

    version: Literal[4, 5] = 5
    max_inflight: int = 20
    max_queued: int = 1_000
    max_packet: int = 2 << 20

    @property
    def five(self) -> bool:
        """Whether it speaks MQTT 5."""
        return self.version == 5


@dataclass(slots=True, eq=False)
class Session:
    """One client's session.

    Parameters
    ----------
    client_id, user : str
        Whose it is.
    session_s : int
        Seconds that it is kept while the client is away.
    limits : Limits
        Of the broker.
    scheduler : Scheduler
        Whose time it lives in.
    dropped : callable
        Told, with the reason, of every message that this client will not be given.
    """

    client_id: str
    user: str
    session_s: int
    limits: Limits
    scheduler: Scheduler
    dropped: Callable[[str, Publish, str], None]
    filters: set[str] = field(default_factory=set[str])
    away: int = 0
    """How often the client has gone."""
    _send: Callable[[Packet], None] | None = None
    _stuck: Callable[[], bool] = lambda: False
    _inflight: dict[int, Publish] = field(default_factory=dict[int, Publish])
    _queue: deque[Publish] = field(default_factory=deque[Publish])
    _held: deque[Publish] = field(default_factory=deque[Publish])
    _held_until: dict[tuple[str, Qos], int] = field(default_factory=dict[tuple[str, Qos], int])
    _number: int = 0

    def take(self, message: Publish, *, hold_ns: int = 0) -> None:
        """Pass a message on to the client, or keep it.

        Parameters
        ----------
        message : Publish
            With the QoS that it is to be delivered at.
        hold_ns : int
            Others overtake it for so long; those of the same topic and QoS must not (MQTT 3.1.1, 4.6).
        """
        now = self.scheduler.monotonic_ns()
        key = (message.topic, message.qos)
        until = max(self._held_until.get(key, 0), now + hold_ns)
        if until <= now:
            self._pass(message)
            return
        self._held_until[key] = until
        self._held.append(message)
        self.scheduler.call_at(until, lambda: self._release(message))

    @property
    def present(self) -> bool:
        """Whether the client is connected."""
        return self._send is not None

    def acknowledged(self, number: int) -> None:
        """Take a PUBACK."""
        if self._inflight.pop(number, None) is not None:
            self._fill()

    def resume(self, send: Callable[[Packet], None], stuck: Callable[[], bool]) -> None:
        """Have the client back: send again what it has not acknowledged, then what has waited (4.4)."""
        self._send, self._stuck = send, stuck
        for number, message in self._inflight.items():
            send(replace(message, dup=True, number=number))
        self._fill()

    def suspend(self) -> None:
        """Take note that the client is away."""
        self._send = None
        self.away += 1

    def settle(self) -> None:
        """Put what is held back in its place: the broker writes its state down."""
        self._held_until.clear()
        while self._held:
            self._pass(self._held.popleft())

    def _release(self, message: Publish) -> None:
        for place, held in enumerate(self._held):
            if held is message:
                del self._held[place]
                self._pass(message)
                return

    def _pass(self, message: Publish) -> None:
        if message.qos == 0:
            if self._send is None:
                self.dropped(self.client_id, message, "away")
            elif self._stuck():
                self.dropped(self.client_id, message, "queue full")
            else:
                self._send(message)
        elif self._send is not None and len(self._inflight) < self.limits.max_inflight:
            self._transmit(message)
        elif len(self._queue) >= self.limits.max_queued:
            self.dropped(self.client_id, message, "queue full")
        else:
            self._queue.append(message)

    def _fill(self) -> None:
        now = self.scheduler.monotonic_ns()
        while self._send is not None and self._queue and len(self._inflight) < self.limits.max_inflight:
            message = self._queue.popleft()
            if message.expires_ns is not None and now >= message.expires_ns:
                self.dropped(self.client_id, message, "expired")
            else:
                self._transmit(message)

    def _transmit(self, message: Publish) -> None:
        self._number = self._number % MAX_NUMBER + 1
        while self._number in self._inflight:
            self._number = self._number % MAX_NUMBER + 1
        self._inflight[self._number] = message
        if self._send is not None:
            self._send(replace(message, number=self._number))
