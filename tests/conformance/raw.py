"""A bare MQTT client: it does what no proper client does, and it acknowledges only when it is told to."""

from __future__ import annotations

import contextlib
import itertools
import socket
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """Control packets (2.2.1)."""

    CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
    SUBSCRIBE, SUBACK = 8, 9
    PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


class Publication(NamedTuple):
    """A PUBLISH as it came."""

    topic: str
    payload: bytes
    qos: int
    duplicate: bool
    retained: bool
    number: int
    properties: bytes


@dataclass
class RawClient:
    """One TCP stream of packets; nothing blocks, so the broker may live on this thread.

    What is sent while it is `corked` leaves in one piece when it is uncorked.
    """

    host: str
    port: int
    level: int = 4
    username: str | None = None
    password: str | None = None
    corked: bool = False
    _packets: list[tuple[int, int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_connection((self.host, self.port), timeout=5.0)
        self._socket.setblocking(False)
        self._in, self._out = bytearray(), bytearray()
        self._numbers = itertools.count(1)
        self._closed = False

    def connect(self, client_id, *, clean=True, keepalive_s=0, will=None, session_s=0) -> None:
        flags = clean << 1
        rest = self._properties(b"\x11" + session_s.to_bytes(4, "big") if session_s else b"") + _text(client_id)
        if will is not None:
            flags |= 0b0010_1100  # QoS 1, retained, as our links have it
            rest += self._properties() + _text(will.topic) + _text(will.payload)
        for bit, value in ((0x80, self.username), (0x40, self.password)):
            if value is not None:
                flags |= bit
                rest += _text(value)
        head = _text("MQTT") + bytes([self.level, flags]) + keepalive_s.to_bytes(2, "big")
        self._send(Kind.CONNECT, 0, head + rest)

    def subscribe(self, topic_filter, qos=1) -> None:
        self._send(Kind.SUBSCRIBE, 2, self._number() + self._properties() + _text(topic_filter) + bytes([qos]))

    def publish(self, topic, payload, qos=0) -> None:
        number = self._number() if qos else b""
        self._send(Kind.PUBLISH, qos << 1, _text(topic) + number + self._properties() + payload)

    def acknowledge(self, publication) -> None:
        self._send(Kind.PUBACK, 0, publication.number.to_bytes(2, "big"))

    def ping(self) -> None:
        self._send(Kind.PINGREQ, 0, b"")

    def goodbye(self) -> None:
        self._send(Kind.DISCONNECT, 0, b"")

    def send_bytes(self, data) -> None:
        self._out += data
        self._flush()

    def uncork(self) -> None:
        self.corked = False
        self._flush()

    def stop_reading(self) -> None:
        """Let what comes pile up: nothing is read that nobody asks for."""

    def has(self, kind) -> bool:
        """Whether a packet of that kind has come."""
        self._poll()
        return any(kind == came for came, _, _ in self._packets)

    @property
    def gone(self) -> bool:
        """Whether the broker has ended the stream."""
        self._poll()
        return self._closed

    @property
    def session_present(self) -> bool:
        """Whether the broker had kept the session (3.2.2.2)."""
        return next(bool(body[0] & 1) for kind, _, body in self._packets if kind == Kind.CONNACK)

    def publications(self) -> list[Publication]:
        self._poll()
        return [self._publication(flags, body) for kind, flags, body in self._packets if kind == Kind.PUBLISH]

    def close(self) -> None:
        """End the stream without a goodbye."""
        self._closed = True
        self._socket.close()

    def _number(self) -> bytes:
        return next(self._numbers).to_bytes(2, "big")

    def _send(self, kind, flags, body) -> None:
        self.send_bytes(bytes([kind << 4 | flags]) + _length(len(body)) + body)

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                while self._out and not self.corked and not self._closed:
                    del self._out[: self._socket.send(self._out)]
            except (BrokenPipeError, ConnectionResetError):
                self._out.clear()  # what the broker still said is read first

    def _poll(self) -> None:
        """Send and take whatever goes just now."""
        self._flush()
        while not self._closed:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self._closed = not data
            self._in += data
            while self._take():
                pass

    def _take(self) -> bool:
        size, at = 0, 0
        while True:
            at += 1
            if at >= len(self._in):
                return False
            size |= (self._in[at] & 0x7F) << 7 * (at - 1)
            if not self._in[at] & 0x80:
                break
        end = at + 1 + size
        if len(self._in) < end:
            return False
        self._packets.append((self._in[0] >> 4, self._in[0] & 0x0F, bytes(self._in[at + 1 : end])))
        del self._in[:end]
        return True

    def _publication(self, flags, body) -> Publication:
        at = 2 + int.from_bytes(body[:2], "big")
        topic, qos = body[2:at].decode(), flags >> 1 & 3
        number = int.from_bytes(body[at : at + 2], "big") if qos else 0
        at += 2 if qos else 0
        end = at + 1 + body[at] if self.level == 5 else at  # no broker sends more than 127 bytes of properties here
        return Publication(topic, body[end:], qos, bool(flags & 8), bool(flags & 1), number, body[at:end])

    def _properties(self, properties=b"") -> bytes:
        return _length(len(properties)) + properties if self.level == 5 else b""


def _text(value) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def _length(size) -> bytes:
    data = bytearray()
    while True:
        size, low = divmod(size, 128)
        data.append(low | (0x80 if size else 0))
        if not size:
            return bytes(data)
