"""Takes TCP connections in, and makes them TLS: few at a time, few from one address, none of them for long.

asyncio's own servers take in whoever comes and let a handshake or a request last; here each connection is counted
before a byte of it is read, and cut when its time is over, whatever it is doing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from becomingone.provisioning.join.rate import network_of

_LOG = logging.getLogger(__name__)

_BACKLOG: Final = 64
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_THEIRS: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.EPERM,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
    }
)
"""What accept(2) says of a connection that has failed before it was taken: no concern of the others."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection, and all of them, may take.

    Parameters
    ----------
    in_all, per_address : int
        Connections at a time; further ones are closed at once.
    handshake_s : float
        Seconds for the TLS handshake.
    life_s : float
        Seconds for a whole connection; a request takes a fraction of one.
    pause_s : float
        Seconds for which nobody is taken in when the machine has no more file descriptors or memory.
    """

    in_all: int = 64
    per_address: int = 8
    handshake_s: float = 5.0
    life_s: float = 15.0
    pause_s: float = 1.0


LIMITS: Final = Limits()


class Connections:
    """The connections of one server.

    Parameters
    ----------
    make_protocol : callable
        Makes what speaks to one client.
    context : callable
        Gives the server's TLS, asked for with each connection, so that a renewed certificate needs no restart.
    limits : Limits
        The bounds.

    Attributes
    ----------
    turned_away : int
        Connections that were closed unread, because there were too many.
    """

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        context: Callable[[], ssl.SSLContext],
        limits: Limits = LIMITS,
    ) -> None:
        self._make_protocol = make_protocol
        self._context = context
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self.turned_away = 0

    def __len__(self) -> int:
        return self._open.total()

    async def serve(self, listener: socket.socket) -> None:
        """Take connections in until cancelled; then all of them are cut.

        Parameters
        ----------
        listener : socket
            Bound; it is closed at the end.
        """
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        # Not loop.sock_accept(): cancelled while a connection waits, it takes that in and lets go of it unclosed.
        self._take_from(listener, loop, broken)
        try:
            await broken
        finally:
            if self._pause is not None:
                self._pause.cancel()
            loop.remove_reader(listener)
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # transports close their sockets in the loop's next turn

    def _take_from(
        self, listener: socket.socket, loop: asyncio.AbstractEventLoop, broken: asyncio.Future[None]
    ) -> None:
        def take() -> None:
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    _LOG.error("no connection can be taken in: %s", error.strerror)
                    loop.remove_reader(listener)
                    self._pause = loop.call_later(self._limits.pause_s, self._take_from, listener, loop, broken)
                elif error.errno not in _THEIRS:
                    loop.remove_reader(listener)
                    if not broken.done():  # cancelled in this very turn
                        broken.set_exception(error)
                return
            connection.setblocking(False)
            self._admit(loop, connection, network_of(str(peer[0])))

        loop.add_reader(listener, take)

    def _admit(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, address: str) -> None:
        if len(self) >= self._limits.in_all or self._open[address] >= self._limits.per_address:
            self.turned_away += 1
            connection.close()
            return
        self._open[address] += 1
        task = loop.create_task(self._hold(loop, connection, address))
        self._tasks.add(task)
        # A task that is cancelled before its first step runs no line of its own.
        task.add_done_callback(partial(self._left, connection, address))

    def _left(self, connection: socket.socket, address: str, task: asyncio.Task[None]) -> None:
        connection.close()
        self._tasks.discard(task)
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    async def _hold(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, address: str) -> None:
        closed = asyncio.Event()
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(self._limits.life_s):
                transport, _ = await loop.connect_accepted_socket(
                    lambda: _Watched(self._make_protocol(), closed),
                    connection,
                    ssl=self._context(),
                    ssl_handshake_timeout=self._limits.handshake_s,
                    ssl_shutdown_timeout=self._limits.handshake_s,
                )
                await closed.wait()
        except TimeoutError:
            _LOG.debug("%s: cut, its time is over", address)
        except (OSError, ssl.SSLError) as error:  # a handshake that failed: a scanner, a wrong client
            _LOG.debug("%s: no TLS: %s", address, error)
        finally:
            if transport is not None:
                transport.abort()


class _Watched(asyncio.Protocol):
    """A protocol of which one is told when its connection has ended."""

    def __init__(self, inner: asyncio.Protocol, closed: asyncio.Event) -> None:
        self._inner = inner
        self._closed = closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._inner.connection_lost(exc)
