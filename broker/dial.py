"""Making the stream to a broker: name, TCP, TLS and WebSocket, all of which block, so in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final

from becomingone.broker.reasons import ConnectionFailedError, Reason, of_error
from becomingone.broker.settings import BrokerSettings
from becomingone.broker.tls import client_context
from becomingone.broker.transport import Transport
from becomingone.broker.websocket import MAX_HEAD, WebSocket
from becomingone.errors import ConfigError
from becomingone.scheduling import NANOSECONDS, Clock

DIAL_TIMEOUT_S: Final = 10.0
"""Seconds for everything up to the open stream; a Pi Zero takes some of them for its TLS handshake."""

TCP_TIMEOUT_S: Final = 2.0
"""Seconds for the TCP connect to one address: the SYN is sent twice (RFC 6298, 2.1) and the healing of a fault is found
within them."""

STALL_S: Final = 3.0
"""Seconds that what was sent may go unacknowledged by the other end's TCP (RFC 5482). TCP by itself waits for many
minutes, and tries again ever more seldom, so that a healed fault may stay unnoticed for as long as it lasted."""

_LOG = logging.getLogger(__name__)

Dialled = Transport | ConnectionFailedError


class Dialler:
    """Makes one stream at a time in a daemon thread, which can never delay the end of the process.

    Parameters
    ----------
    settings : BrokerSettings
        Where the broker is.
    loop : asyncio.AbstractEventLoop
        In whose turns `done` is called.
    clock : Clock
        Measures deadlines.
    done : callable
        Called once after each `start` that is not called off, with the stream or why there is none.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        done: Callable[[Dialled], None],
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._clock = clock
        self._done = done
        self._number = 0
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to make a stream."""
        if self._busy:  # in getaddrinfo(3), which nobody can interrupt
            self._loop.call_soon(self._hangs)
            return
        self._busy = True
        self._number += 1
        self._timer = self._loop.call_later(DIAL_TIMEOUT_S + 1.0, self._hangs)
        threading.Thread(target=self._run, args=(self._number,), name="connect", daemon=True).start()

    def cancel(self) -> None:
        """Call it off; what still comes of it is closed."""
        self._number += 1
        self._stop_timer()

    def _run(self, number: int) -> None:
        made: Dialled
        address = self._settings.address
        try:
            made = dial(self._settings, self._clock)
        except ConnectionFailedError as error:
            made = error
        except Exception as error:  # noqa: BLE001 - a thread that dies in silence leaves the link waiting
            _LOG.exception("connecting to %s failed in a way that nobody thought of", address)
            made = ConnectionFailedError(Reason.BROKEN, f"{address}: {type(error).__name__}: {error}")
        if number != self._number:  # called off: the loop may be about to end
            _close(made)
        try:
            self._loop.call_soon_threadsafe(self._made, number, made)
        except RuntimeError:  # the loop has ended meanwhile, and with it the need for a connection
            _close(made)

    def _made(self, number: int, made: Dialled) -> None:
        self._busy = False
        if number != self._number:
            _close(made)
            return
        self._stop_timer()
        self._done(made)

    def _hangs(self) -> None:
        self.cancel()
        line = f"{self._settings.address}: the name is not resolved within {DIAL_TIMEOUT_S:g} s"
        self._done(ConnectionFailedError(Reason.NAME, line))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _close(made: Dialled) -> None:
    if isinstance(made, Transport):
        made.close()


class Deadline:
    """A point in time that blocking calls must not pass."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end_ns = clock.monotonic_ns() + int(seconds * NANOSECONDS)

    def limit(self, stream: socket.socket, most_s: float = DIAL_TIMEOUT_S) -> None:
        """Give a socket's next call what is left, and at most `most_s` seconds.

        Raises
        ------
        TimeoutError
            Nothing is left.
        """
        left_s = (self._end_ns - self._clock.monotonic_ns()) / NANOSECONDS
        if left_s <= 0.0:
            raise TimeoutError
        stream.settimeout(min(left_s, most_s))


def dial(settings: BrokerSettings, clock: Clock) -> Transport:
    """Make the stream; blocks for `DIAL_TIMEOUT_S`, and for the resolution of a name as long as the system does.

    Raises
    ------
    ConnectionFailedError
        It cannot be made: why.
    """
    try:
        context = client_context(settings)  # each time anew: certificates are renewed while a link lives
    except ConfigError as error:
        raise ConnectionFailedError(Reason.FILES, str(error)) from error
    deadline = Deadline(clock, DIAL_TIMEOUT_S)
    opened: socket.socket | None = None
    try:
        opened = _connect(settings, deadline)
        if context is not None:
            deadline.limit(opened)
            opened = context.wrap_socket(opened, server_hostname=settings.host)
        if settings.websocket:
            return _upgrade(opened, settings, deadline)
        return Transport(opened, settings.address)
    except OSError as error:
        if opened is not None:
            opened.close()
        if isinstance(error, ConnectionFailedError):
            raise
        if context is not None and isinstance(error, ssl.SSLEOFError | ConnectionResetError):
            line = f"{settings.address}: the broker ended the TLS handshake; is this its TLS port?"
            raise ConnectionFailedError(Reason.NO_TLS, line) from error
        if isinstance(error, TimeoutError) and opened is not None:
            what = "the TLS handshake" if context is not None else "the WebSocket handshake"
            raise ConnectionFailedError(
                Reason.SILENT, f"{settings.address}: the broker did not answer {what}"
            ) from error
        raise of_error(error, settings.address) from error
    except ValueError as error:
        line = f"{settings.address}: that is no host name: {error}"
        raise ConnectionFailedError(Reason.NAME, line) from error


def _connect(settings: BrokerSettings, deadline: Deadline) -> socket.socket:
    """Connect to the first of the host's addresses that takes the connection."""
    failure: OSError = TimeoutError()
    for family, kind, protocol, _, address in socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM):
        opened = socket.socket(family, kind, protocol)
        try:
            deadline.limit(opened, TCP_TIMEOUT_S)
            opened.connect(address)
            _tune(opened)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure


def _tune(opened: socket.socket) -> None:
    """Send small packets at once, and notice a dead connection in seconds, where the system can."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", int(STALL_S)),
        ("TCP_KEEPINTVL", 1),
        ("TCP_USER_TIMEOUT", int(STALL_S * 1_000)),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):  # some systems name an option that they do not have
                opened.setsockopt(socket.IPPROTO_TCP, option, value)


def _upgrade(opened: socket.socket, settings: BrokerSettings, deadline: Deadline) -> Transport:
    websocket = WebSocket(settings.address, settings.path)
    deadline.limit(opened)
    try:
        opened.sendall(websocket.request())
    except ConnectionError:
        opened.recv(1)  # TLS tells here why the broker has closed the connection
        raise
    answer = bytearray()
    while b"\r\n\r\n" not in answer and len(answer) < MAX_HEAD:
        deadline.limit(opened)
        data = opened.recv(MAX_HEAD)
        if not data:
            raise ConnectionFailedError(
                Reason.WEBSOCKET, f"{settings.address}: the server closed the connection on a WebSocket's handshake"
            )
        answer += data
    head, _, rest = bytes(answer).partition(b"\r\n\r\n")
    websocket.check_response(head)
    return Transport(opened, settings.address, websocket=websocket, received=rest)
