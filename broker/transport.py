"""The byte stream below MQTT: TCP, TLS and WebSocket as one thing that never blocks, with a buffer on either side.

paho reads its socket a few bytes at a time, and forgets why it broke. Here it reads from memory: what select(2) cannot
see, because OpenSSL or a WebSocket frame holds it, is never left lying, and the first error is kept to be told.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Final

from becomingone.broker.incoming import Incoming, read_bulk, read_farewell, read_publish
from becomingone.broker.reasons import ConnectionFailedError, Reason, of_error
from becomingone.broker.websocket import WebSocket

READ_BYTES: Final = 1 << 16
"""Bytes asked for at once."""

READ_AT_ONCE: Final = 1 << 20
"""Bytes taken from the stream before others have a turn."""

_PLAIN: Final = 1 << 14
"""Bytes of a packet that `read_bulk` takes, about."""

_WAIT: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Transport:
    """An open stream to a broker; what paho takes for its socket.

    Parameters
    ----------
    stream : socket.socket
        Connected, its handshake done where it is TLS.
    address : str
        ``host:port``, for messages.
    websocket : WebSocket or None
        Frames the bytes where there is one.
    received : bytes
        What came behind the handshake.

    Attributes
    ----------
    error : ConnectionFailedError or None
        Why the stream has ended.
    sent, received : int
        Bytes of MQTT that have left and come.
    """

    def __init__(
        self, stream: socket.socket, address: str, *, websocket: WebSocket | None = None, received: bytes = b""
    ) -> None:
        stream.setblocking(False)
        self.error: ConnectionFailedError | None = None
        self.sent = 0
        self.received = 0
        self._stream = stream
        self._address = address
        self._websocket = websocket
        self._chunks: deque[bytes] = deque()
        self._chunk = b""
        self._head = 0
        self._packets = bytearray()
        self._out = bytearray()
        if received:
            self._take(received)

    # -- what paho calls -------------------------------------------------------------------------------------------

    def recv(self, buffer_size: int) -> bytes:
        """Give at most `buffer_size` bytes that have been read; b"" once the stream has ended and all has been given.

        Raises
        ------
        BlockingIOError
            Nothing is there just now.
        """
        if self._head == len(self._chunk) and not self._next_chunk():
            if self.error is not None:
                return b""
            raise BlockingIOError
        piece = self._chunk[self._head : self._head + buffer_size]
        self._head += len(piece)
        return piece

    def take_publish(self, *, five: bool) -> Incoming | None:
        """Give the PUBLISH packet that begins here, if it is one and all there; else paho is to `recv` it."""
        if self._head == len(self._chunk) and not self._next_chunk():
            return None
        packet = read_publish(self._chunk, self._head, five=five)
        if packet is not None:
            self._head = packet.end
        return packet

    def take_bulk(self, wanted: Mapping[bytes, str], most: int, *, five: bool) -> tuple[list[tuple[str, bytes]], int]:
        """Give the plain PUBLISH packets of wanted topics that begin here, and their size; see `read_bulk`."""
        if self._head == len(self._chunk) and not self._next_chunk():
            return [], 0
        messages, size, self._head = read_bulk(self._chunk, self._head, wanted, most, five=five)
        if not messages and self._chunks and len(self._chunk) - self._head < _PLAIN:
            # Perhaps a packet in two pieces, of which the second is there already.
            self._chunk, self._head = self._chunk[self._head :] + self._chunks.popleft(), 0
            messages, size, self._head = read_bulk(self._chunk, self._head, wanted, most, five=five)
        return messages, size

    def farewell(self) -> int | None:
        """Tell the reason code of the DISCONNECT packet that begins here, if it is one; paho is to `recv` it then."""
        return read_farewell(self._chunk, self._head) if self._head < len(self._chunk) else None

    def _next_chunk(self) -> bool:
        if not self._chunks:
            return False
        self._chunk, self._head = self._chunks.popleft(), 0
        return True

    def send(self, buffer: bytes | bytearray) -> int:
        """Take all of `buffer`, to leave with the next `flush`."""
        self._packets += buffer
        return len(buffer)

    def fileno(self) -> int:
        """Give the descriptor to watch; -1 once closed."""
        return self._stream.fileno()

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the stream never blocks."""

    def close(self) -> None:
        """Send what the stream takes at once, and close it."""
        if self._stream.fileno() >= 0:
            self.flush()
            self._stream.close()

    # -- what the link calls ---------------------------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        """Whether `recv` has something to give, be it the end."""
        return self._head < len(self._chunk) or bool(self._chunks) or self.error is not None

    @property
    def backlog(self) -> int:
        """Bytes that have been taken and have not left."""
        return len(self._packets) + len(self._out)

    def fill(self) -> bool:
        """Read what has come; True when there may be more."""
        taken = 0
        while self.error is None and taken < READ_AT_ONCE:
            try:
                data = self._stream.recv(READ_BYTES)
            except _WAIT:
                return False
            except OSError as error:
                self._end(self._broken(error))
                return False
            if not data:
                self._end(ConnectionFailedError(Reason.BROKEN, f"{self._address}: the connection broke"))
                return False
            taken += len(data)
            self._take(data)
        return self.error is None

    def _take(self, data: bytes) -> None:
        if self._websocket is None:
            pieces = [data]
        else:
            try:
                pieces = self._websocket.unwrap(data)
            except ValueError as error:
                self._end(ConnectionFailedError(Reason.PROTOCOL, f"{self._address}: the broker sent {error}"))
                return
            self._out += self._websocket.answers
            self._websocket.answers.clear()
            if self._websocket.closed:
                self._end(ConnectionFailedError(Reason.BROKEN, f"{self._address}: the broker closed the WebSocket"))
        self._chunks.extend(pieces)
        self.received += sum(map(len, pieces))

    def flush(self) -> None:
        """Send what has been taken, as far as the stream takes it."""
        while self.error is None and self.backlog:
            if not self._out:
                self._wrap()
            try:
                with memoryview(self._out) as view:
                    count = self._stream.send(view)
            except _WAIT:
                return
            except OSError as error:
                self.fill()  # perhaps the broker has said why
                self._end(self._broken(error))
                return
            del self._out[:count]

    def _wrap(self) -> None:
        self.sent += len(self._packets)
        if self._websocket is None:
            self._out, self._packets = self._packets, self._out
        else:
            self._out += self._websocket.wrap(self._packets)
            self._packets.clear()

    def shutdown(self, how: int) -> None:
        """End the stream below everything else, as a broken cable does (shutdown(2))."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(how)

    def _broken(self, error: OSError) -> ConnectionFailedError:
        if isinstance(error, TimeoutError):  # TCP has given up: RFC 5482
            return ConnectionFailedError(
                Reason.SILENT, f"{self._address}: nothing comes back from the broker's machine"
            )
        return of_error(error, self._address)

    def _end(self, error: ConnectionFailedError) -> None:
        if self.error is None:
            self.error = error
