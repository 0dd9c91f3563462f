"""The bare client of `raw`, for the simulated broker: packets, where that one has bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from becomingone.sim.broker import SimBroker
from becomingone.sim.connection import Connection
from becomingone.sim.packets import Connack, Connect, Disconnect, Packet, Ping, Pong, Puback, Publish, Suback, Subscribe

from .raw import Kind, Publication

_PACKETS = {Kind.CONNACK: Connack, Kind.SUBACK: Suback, Kind.PUBACK: Puback, Kind.PINGRESP: Pong}


class SimRawClient:
    """One connection of packets; what is not acknowledged is not, and no ping is sent.

    Parameters
    ----------
    broker : SimBroker
        The other end.
    until : callable
        Lets time pass until a condition is met.
    """

    def __init__(self, broker: SimBroker, until: Callable[[Callable[[], object]], bool]) -> None:
        self._broker = broker
        self._until = until
        self._numbers = itertools.count(1)
        self._connection: Connection | None = None
        self._packets: list[Packet] = []
        self._waiting: list[Packet] = []
        self._client_id = ""
        self.corked = False
        self.gone = False

    def connect(self, client_id, *, clean=True, keepalive_s=0, will=None, session_s=0) -> None:
        self._client_id = client_id
        if self._connection is None:
            self._broker.network.dial(client_id, self, self._broker)
            assert self._until(lambda: self._connection is not None), "the simulated broker takes no connection"
        self._send(Connect(client_id, "", will, 0 if clean else session_s, keepalive_s))

    def opened(self, connection: Connection) -> None:
        self._connection = connection
        connection.client = self

    def refused(self, reason: str) -> None:
        self.gone = True

    def receive(self, packet: Packet) -> None:
        self._packets.append(packet)

    def broken(self, reason: str) -> None:
        self.gone = True

    def subscribe(self, topic_filter, qos=1) -> None:
        self._send(Subscribe(next(self._numbers), ((topic_filter, qos),)))

    def publish(self, topic, payload, qos=0) -> None:
        self._send(Publish(topic, payload, qos, number=next(self._numbers) if qos else 0))

    def acknowledge(self, publication) -> None:
        self._send(Puback(publication.number))

    def ping(self) -> None:
        self._send(Ping())

    def goodbye(self) -> None:
        self._send(Disconnect())

    def uncork(self) -> None:
        self.corked = False
        self._flush()

    def stop_reading(self) -> None:
        """Let nothing through any more, as a full window does."""
        self._broker.network.path(self._client_id).blocks += 1

    def publications(self) -> list[Publication]:
        return [
            Publication(
                one.topic, one.payload, one.qos, one.dup, one.retain, one.number, (one.content_type or "").encode()
            )
            for one in self._packets
            if isinstance(one, Publish)
        ]

    def has(self, kind) -> bool:
        return any(isinstance(packet, _PACKETS[kind]) for packet in self._packets)

    @property
    def session_present(self) -> bool:
        return next(packet.session_present for packet in self._packets if isinstance(packet, Connack))

    def close(self) -> None:
        if self._connection is not None and not self.gone:
            self.gone = True
            self._connection.close_client()

    def _send(self, packet: Packet) -> None:
        self._waiting.append(packet)
        self._flush()

    def _flush(self) -> None:
        if not self.corked and self._connection is not None:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._connection.up.send(one)
