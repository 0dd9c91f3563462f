"""The deadline that stops a motor: a thread of its own, which the node's event loop cannot hold up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from becomingone.devices.contract import ClockPort

_LOG = logging.getLogger(__name__)
_NS = 1_000_000_000


class ThreadDeadman:
    """See `becomingone.devices.contract.Deadman`.

    The thread sleeps until the deadline, finds most times that it has been put off, and sleeps on; while idle it does
    not wake up at all. It needs the interpreter for some µs when the deadline comes: a library that holds Python's
    global lock for long delays it, and a stopped process (SIGSTOP) has no threads that run. The monotonic clock goes
    on meanwhile, so the first thing that a continued process does is to expire.

    Parameters
    ----------
    timeout_s : float
        Seconds after a feed, above 0.
    expire : callable
        Called in the thread; while it raises, it is called again after each timeout.
    clock : ClockPort
        The monotonic clock.
    """

    def __init__(self, timeout_s: float, expire: Callable[[], None], *, clock: ClockPort) -> None:
        if not 0 < timeout_s < threading.TIMEOUT_MAX:
            msg = f"a deadline is some seconds, not {timeout_s}"
            raise ValueError(msg)
        self._timeout_ns = round(timeout_s * _NS)
        self._expire = expire
        self._clock = clock
        self._changed = threading.Condition()
        self._due_ns: int | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="deadman", daemon=True)
        self._thread.start()

    def feed(self) -> None:
        """See `Deadman.feed`."""
        with self._changed:
            idle = self._due_ns is None
            self._due_ns = self._clock.monotonic_ns() + self._timeout_ns
            if idle:
                self._changed.notify()

    def close(self) -> None:
        """See `Deadman.close`; does not wait for an `expire` that is under way."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while self._wait():
            try:
                self._expire()
            except Exception:  # noqa: BLE001 - whatever it is, it is told and tried again
                _LOG.exception("what the deadline is there for has failed; it is tried again")
                self.feed()

    def _wait(self) -> bool:
        """Wait until a deadline has passed, which is then no more; False when there will be none any more."""
        with self._changed:
            while not self._closed:
                if self._due_ns is None:
                    self._changed.wait()
                    continue
                left_ns = self._due_ns - self._clock.monotonic_ns()
                if left_ns <= 0:
                    self._due_ns = None
                    return True
                self._changed.wait(left_ns / _NS)
            return False
