"""A simulated client's keepalive, as paho has it."""

from __future__ import annotations

from collections.abc import Callable

from becomingone.scheduling import NANOSECONDS, Scheduler, Timer


class KeepAlive:
    """Pings after a keepalive without a packet in one direction; gives up when the answer takes as long again.

    Parameters
    ----------
    scheduler : Scheduler
        Gives the turns.
    seconds : int
        The keepalive; 0 for never.
    ping : callable
        Sends a PINGREQ.
    dead : callable
        Hears that no answer has come.
    """

    def __init__(
        self, scheduler: Scheduler, seconds: int, *, ping: Callable[[], None], dead: Callable[[], None]
    ) -> None:
        self.seconds = seconds
        self._scheduler = scheduler
        self._period_ns = seconds * NANOSECONDS
        self._ping = ping
        self._dead = dead
        self._heard_ns = self._said_ns = 0
        self._pinging = False
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin with a new connection."""
        self._heard_ns = self._said_ns = self._scheduler.monotonic_ns()
        self._pinging = False
        if self.seconds:
            self._timer = self._scheduler.call_at(self._heard_ns + self._period_ns, self._look)

    def stop(self) -> None:
        """End with the connection."""
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """Take note that a packet came."""
        self._heard_ns = self._scheduler.monotonic_ns()

    def said(self) -> None:
        """Take note that a packet went."""
        self._said_ns = self._scheduler.monotonic_ns()

    def answered(self) -> None:
        """Take note of a PINGRESP."""
        self._pinging = False

    def _look(self) -> None:
        now = self._scheduler.monotonic_ns()
        if now - min(self._heard_ns, self._said_ns) >= self._period_ns:
            if self._pinging:
                self._dead()
                return
            self._pinging = True
            self._ping()
            self._heard_ns = self._said_ns = now
        due = min(self._heard_ns, self._said_ns) + self._period_ns
        self._timer = self._scheduler.call_at(due, self._look)
