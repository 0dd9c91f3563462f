"""An MQTT client of bare bytes, for what no proper client would do: lie about its name, write where it may not.

Blocking, one packet after the other; versions 3.1.1 (4) and 5. Nothing of ours and nothing of paho's is in it, so that
a fault in either cannot make an attack look harmless.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field

TIMEOUT_S = 10.0


class RefusedError(Exception):
    """The broker did not accept the connection."""


class GoneError(Exception):
    """The broker closed the connection."""


def text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(head: int, body: bytes) -> bytes:
    size, rest = bytearray(), len(body)
    while True:
        rest, digit = divmod(rest, 128) if rest >= 128 else (0, rest)
        more = rest > 0
        size.append(digit | (0x80 if more else 0))
        if not more:
            return bytes([head]) + bytes(size) + body


@dataclass
class Arrived:
    topic: str
    payload: bytes
    retained: bool


@dataclass
class RawClient:
    """Connects at once; `answer` is the CONNACK, `acks` the reason code of each PUBACK by its packet identifier."""

    port: int
    client_id: str = "raw"
    version: int = 4
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = None
    will: tuple[str, bytes, bool] | None = None
    keepalive: int = 60
    acks: dict[int, int] = field(default_factory=dict)
    inbox: list[Arrived] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = 0
        self._buffer = b""
        plain = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = plain
        try:
            if self.tls is not None:
                self._socket = self.tls.wrap_socket(plain, server_hostname="127.0.0.1", do_handshake_on_connect=False)
                self._socket.do_handshake()
            self._send(self._connect())
            kind, body = self._read()
        except (OSError, GoneError) as error:  # with TLS 1.3 a refused certificate shows at the first read
            self.drop()
            raise RefusedError(str(error)) from error
        if kind >> 4 != 2 or body[1]:
            self.drop()
            raise RefusedError(f"CONNACK {body[1] if kind >> 4 == 2 else kind}")
        self.answer = body

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def _connect(self) -> bytes:
        flags = 0x02  # clean
        none = b"\0" if self.version == 5 else b""
        payload = text(self.client_id)
        if self.will is not None:
            topic, data, retain = self.will
            flags |= 0x04 | 1 << 3 | (0x20 if retain else 0)
            payload += none + text(topic) + len(data).to_bytes(2, "big") + data
        if self.username is not None:
            flags |= 0x80
            payload += text(self.username)
        if self.password is not None:
            flags |= 0x40
            payload += text(self.password)
        head = text("MQTT") + bytes([self.version, flags]) + self.keepalive.to_bytes(2, "big") + none
        return packet(0x10, head + payload)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise GoneError(str(error)) from error

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            try:
                more = self._socket.recv(65_536)
            except TimeoutError:
                raise
            except OSError as error:
                raise GoneError(str(error)) from error
            if not more:
                raise GoneError("end of stream")
            self._buffer += more
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _read(self) -> tuple[int, bytes]:
        kind = self._take(1)[0]
        size = shift = 0
        while True:
            digit = self._take(1)[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return kind, self._take(size)

    def _until(self, wanted: int) -> bytes:
        """Read packets until one of a kind comes; what is published meanwhile goes to the inbox."""
        while True:
            kind, body = self._read()
            if kind >> 4 == 3:
                self._arrived(kind, body)
            elif kind >> 4 == 4:
                self.acks[int.from_bytes(body[:2], "big")] = body[2] if len(body) > 2 else 0
            elif kind >> 4 == 14:
                raise GoneError(f"DISCONNECT {body[0] if body else 0}")
            if kind >> 4 == wanted:
                return body

    def _arrived(self, kind: int, body: bytes) -> None:
        size = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        if kind & 0x06:
            self._send(packet(0x40, rest[:2]))
            rest = rest[2:]
        if self.version == 5:
            rest = rest[1 + rest[0] :]  # properties; never 128 bytes long here
        self.inbox.append(Arrived(topic, rest, bool(kind & 1)))

    def send(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> int:
        """Publish without waiting; the packet identifier."""
        self._next += 1
        identifier = self._next.to_bytes(2, "big") if qos else b""
        none = b"\0" if self.version == 5 else b""
        self._send(packet(0x30 | qos << 1 | retain, text(topic) + identifier + none + payload))
        return self._next

    def wait_acks(self) -> None:
        """Read until everything that was sent at QoS 1 is acknowledged."""
        while len(self.acks) < self._next:
            self._until(4)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish and wait; the reason code."""
        identifier = self.send(topic, payload, retain=retain)
        self.wait_acks()
        return self.acks[identifier]

    def subscribe(self, *filters: str) -> list[int]:
        """Subscribe at QoS 0; the reason codes."""
        none = b"\0" if self.version == 5 else b""
        body = b"\0\1" + none + b"".join(text(one) + b"\0" for one in filters)
        self._send(packet(0x82, body))
        answer = self._until(9)
        return list(answer[2:] if self.version == 4 else answer[3 + answer[2] :])

    def ping(self) -> None:
        """Wait for a PINGRESP: all that was on its way to this client before has come."""
        self._send(packet(0xC0, b""))
        self._until(13)

    def drain(self) -> list[Arrived]:
        """Give what has arrived so far, and forget it."""
        self.ping()
        taken, self.inbox = self.inbox, []
        return taken

    def drop(self) -> None:
        """End the TCP stream without a goodbye: the broker publishes the will."""
        self._socket.close()
