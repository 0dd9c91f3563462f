"""The client's side of a WebSocket that carries MQTT (RFC 6455; MQTT 5, 6): handshake and frames, no input or output.

paho's own WebSocket loses what a full socket did not take of a packet, and garbles the next one (seen with 2.2.0 and
messages of 1 MiB), and masks byte by byte in Python; hence this one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from typing import Final

from becomingone.broker.reasons import ConnectionFailedError, Reason, said

MAX_HEAD: Final = 8_192
"""Bytes that the answer to the handshake may have."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION: Final = 0x0
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_CONTROL: Final = 0x8
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_MAX_CONTROL: Final = 125


class WebSocket:
    """One WebSocket: bytes of the stream in, bytes of MQTT out, and back.

    Parameters
    ----------
    address : str
        ``host:port``, for the Host header and for messages.
    path : str
        The path of the request.
    """

    def __init__(self, address: str, path: str) -> None:
        self._address = address
        self._path = path
        self._nonce = base64.b64encode(os.urandom(16))
        self._unread = bytearray()
        self._left = 0
        self.closed = False
        self.answers = bytearray()
        """Pongs and the like, to be sent."""

    def request(self) -> bytes:
        """Give the opening handshake (RFC 6455, 4.1)."""
        lines = (
            f"GET {self._path} HTTP/1.1",
            f"Host: {self._address}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._nonce.decode()}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: mqtt",
            "\r\n",
        )
        return "\r\n".join(lines).encode()

    def check_response(self, head: bytes) -> None:
        """Check the server's answer, up to and with its empty line (RFC 6455, 4.1; MQTT 5, 6.0).

        Raises
        ------
        ConnectionFailedError
            It is no WebSocket, or none for MQTT.
        """
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        accept = base64.b64encode(hashlib.sha1(self._nonce + _GUID).digest()).decode()  # noqa: S324 - RFC 6455 asks for it
        if first.split(" ")[1:2] != ["101"]:
            raise self._error(f"the answer to {self._path} is {said(first)!r}")
        if fields.get("sec-websocket-accept") != accept:
            raise self._error("the answer does not belong to the question")
        if fields.get("sec-websocket-protocol", "").lower() != "mqtt":
            raise self._error("the server has no WebSocket for mqtt there")

    def _error(self, text: str) -> ConnectionFailedError:
        return ConnectionFailedError(Reason.WEBSOCKET, f"{self._address}: no MQTT over WebSocket: {text}")

    def wrap(self, data: bytes | bytearray) -> bytes:
        """Put bytes of MQTT into one frame."""
        return _frame(_BINARY, data)

    def unwrap(self, data: bytes) -> list[bytes]:
        """Take bytes of the stream and give the bytes of MQTT in them; `closed` when the server has closed.

        Raises
        ------
        ValueError
            The server breaks the protocol.
        """
        payload: list[bytes] = []
        self._unread += data
        while self._unread and not self.closed:
            if self._left:
                piece = bytes(self._unread[: self._left])
                del self._unread[: len(piece)]
                self._left -= len(piece)
                payload.append(piece)
            elif not self._take_head():
                break
        return payload

    def _take_head(self) -> bool:
        """Take the next frame's head, and the whole frame where it is a control frame; False when more is needed."""
        unread = self._unread
        if len(unread) < 2:
            return False
        opcode, length, start = unread[0] & 0x0F, unread[1] & 0x7F, 2
        if unread[0] & 0x70 or unread[1] & _MASKED:
            msg = "a WebSocket frame with reserved bits or a mask"
            raise ValueError(msg)
        if opcode & _CONTROL:
            return self._take_control(opcode, length)
        if opcode not in (_BINARY, _CONTINUATION):
            msg = f"a WebSocket frame of kind {opcode}; MQTT travels in binary ones"
            raise ValueError(msg)
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(unread) < start:
                return False
            (length,) = struct.unpack("!H" if start == 4 else "!Q", unread[2:start])
        del unread[:start]
        self._left = length
        return True

    def _take_control(self, opcode: int, length: int) -> bool:
        if length > _MAX_CONTROL or not self._unread[0] & _FINAL:
            msg = "a WebSocket control frame that is long or in pieces"
            raise ValueError(msg)
        if len(self._unread) < 2 + length:
            return False
        body = bytes(self._unread[2 : 2 + length])
        del self._unread[: 2 + length]
        if opcode == _PING:
            self.answers += _frame(_PONG, body)
        elif opcode == _CLOSE:
            self.answers += _frame(_CLOSE, body[:2])
            self.closed = True
        return True


def _frame(opcode: int, data: bytes | bytearray) -> bytes:
    """Make a final, masked frame (RFC 6455, 5.2 and 5.3)."""
    length = len(data)
    if length < 126:
        head = struct.pack("!BB", _FINAL | opcode, _MASKED | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, length)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, length)
    mask = os.urandom(4)
    repeated = (mask * (length // 4 + 1))[:length]
    masked = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(length, "big")
