"""What the supervisor is told of this process: the datagrams of sd_notify(3), without its library.

References
----------
.. [1] sd_notify(3), sd_watchdog_enabled(3), https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

_LOG = logging.getLogger(__name__)

SEND_S: Final = 0.05
"""Seconds that one datagram may hold up the process when the supervisor does not read."""

_LONGEST: Final = 600
"""Characters of a status."""


class Notifier:
    """Speaks to the supervisor, where there is one that listens.

    A message that could not be sent is counted and told once. What the supervisor must know (``READY``, ``STOPPING``)
    is sent again with the next message, until it has been.

    Parameters
    ----------
    environ : mapping
        ``NOTIFY_SOCKET`` names the supervisor's socket: a path, or ``@`` and a name in the abstract namespace.
        ``WATCHDOG_USEC``, where ``WATCHDOG_PID`` is this process or not given, has a keepalive sent in that time.
    pid : int, optional
        This process.

    Attributes
    ----------
    watchdog_ns : int or None
        Nanoseconds within which the supervisor wants `alive`; None where it does not watch.
    unsent : int
        Messages that could not be sent.
    """

    def __init__(self, environ: Mapping[str, str], pid: int | None = None) -> None:
        self.unsent = 0
        self.watchdog_ns = _watchdog_ns(environ, os.getpid() if pid is None else pid)
        self._owed: list[str] = []
        self._socket: socket.socket | None = None
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(SEND_S)

    @property
    def active(self) -> bool:
        """Whether there is a supervisor that listens."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """Tell that the start, or the reading of the configuration, is complete."""
        self._send("READY=1", _status(status), owed=True)

    def status(self, text: str) -> None:
        """Tell in one line how things are."""
        self._send(_status(text))

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def reloading(self, monotonic_us: int) -> None:
        """Tell that the configuration is being read again; `ready` ends it.

        Parameters
        ----------
        monotonic_us : int
            When that began, µs of the monotonic clock.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_us}", owed=True)

    def stopping(self, why: str) -> None:
        """Tell that the end has begun."""
        self._send("STOPPING=1", _status(why), owed=True)

    def extend(self, seconds: float) -> None:
        """Ask for time: the start, or the end, takes so long from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str, owed: bool = False) -> None:
        if self._socket is None:
            return
        message = "\n".join(lines)
        if owed:
            self._owed.append(message)
        try:
            while self._owed:
                self._put(self._owed[0])
                del self._owed[0]
            if not owed:
                self._put(message)
        except OSError as error:
            self.unsent += 1
            if self.unsent == 1:
                _LOG.warning("the supervisor cannot be told how things are: %s", error)
            del self._owed[:-4]  # one of each word at most is of use

    def _put(self, message: str) -> None:
        if self._socket is not None and self._address is not None:
            self._socket.sendto(message.encode("utf-8", "replace"), self._address)


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_LONGEST]}"


def _address(name: str) -> str | None:
    if name.startswith("@"):
        return f"\0{name[1:]}"
    if name.startswith("/") or not name:
        return name or None
    _LOG.warning("NOTIFY_SOCKET=%s: only a path, or @ and a name, can be spoken to; the supervisor hears nothing", name)
    return None


def _watchdog_ns(environ: Mapping[str, str], pid: int) -> int | None:
    """Give the watchdog's interval as sd_watchdog_enabled(3) does."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text) * 1000
    if text:
        _LOG.warning("WATCHDOG_USEC=%s is not a number of microseconds; the watchdog is not fed", text)
    return None
