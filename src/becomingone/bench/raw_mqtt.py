"""MQTT 3.1.1 as bytes on a socket: a client that costs nearly nothing, so that no benchmark measures it."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from becomingone.bench.broker_hosts import HOST
from becomingone.broker.incoming import Incoming, read_publish
from becomingone.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S: Final = 30.0
"""Seconds that any answer is waited for."""

_READ_BYTES: Final = 1 << 18
_CONNACK, _SUBACK = 0x20, 0x90
_LEAST_PACKET: Final = 2


def publish_packet(topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    """Write a PUBLISH packet of QoS 0 (MQTT 3.1.1, 3.3)."""
    name = topic.encode()
    return _packet(0x30 | retain, struct.pack(">H", len(name)) + name + payload)


class RawClient:
    """A blocking connection, with a clean session and no keepalive.

    Parameters
    ----------
    port : int
        Of a broker on loopback.
    client_id : str
        The MQTT client identifier.
    filters : iterable of str
        What to subscribe to, at QoS 0; in force when the client has been made.

    Raises
    ------
    LinkError
        The broker refuses it, or does not answer.
    """

    def __init__(self, port: int, client_id: str, filters: Iterable[str] = ()) -> None:
        self._socket = socket.create_connection((HOST, port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        self._at = 0
        name = client_id.encode()
        self._socket.sendall(_packet(0x10, b"\0\x04MQTT\x04\x02\0\0" + struct.pack(">H", len(name)) + name))
        if self._answer()[3:4] != b"\0":
            msg = f"the broker refused {client_id}"
            raise LinkError(msg)
        wanted = [struct.pack(">H", len(name)) + name + b"\0" for name in (text.encode() for text in filters)]
        if wanted:
            self._socket.sendall(_packet(0x82, b"\0\x01" + b"".join(wanted)))
            self._answer()

    def send(self, data: bytes) -> None:
        """Send packets as they are; waits while the broker takes nothing."""
        self._socket.sendall(data)

    def next(self, timeout_s: float = TIMEOUT_S) -> Incoming | None:
        """Give the next message; None when none came in time.

        Raises
        ------
        LinkError
            The connection ended.
        """
        end = time.monotonic() + timeout_s
        while True:
            packet = read_publish(self._data, self._at, five=False) if self._at < len(self._data) else None
            if packet is not None:
                self._at = packet.end
                return packet
            left_s = end - time.monotonic()
            if left_s <= 0.0:
                return None
            self._socket.settimeout(left_s)
            try:
                more = self._socket.recv(_READ_BYTES)
            except TimeoutError:
                return None
            finally:
                self._socket.settimeout(TIMEOUT_S)
            if not more:
                msg = "the broker ended the connection"
                raise LinkError(msg)
            self._data, self._at = self._data[self._at :] + more, 0

    def close(self) -> None:
        """Say DISCONNECT, where anybody still listens."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"\xe0\0")
        self._socket.close()

    def _answer(self) -> bytes:
        """Read a CONNACK or SUBACK; retained messages may come right behind it, and stay for `next`."""
        data = b""
        while len(data) < _LEAST_PACKET or len(data) < _LEAST_PACKET + data[1]:
            data += self._socket.recv(_READ_BYTES)
        if data[0] not in (_CONNACK, _SUBACK):
            msg = f"the broker answered with packet {data[0]:#04x}"
            raise LinkError(msg)
        end = _LEAST_PACKET + data[1]
        self._data, self._at = data[end:], 0
        return data[:end]


def _packet(first: int, body: bytes) -> bytes:
    length = bytearray()
    rest = len(body)
    while True:
        rest, digit = rest >> 7, rest & 0x7F
        length.append(digit | 0x80 * bool(rest))
        if not rest:
            return bytes((first,)) + bytes(length) + body
