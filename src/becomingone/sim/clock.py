"""Virtual time: a scheduler whose clock moves only when the run is told to go on."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from becomingone.scheduling import Timer


class _Call:
    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualScheduler:
    """A scheduler over virtual time; calls due at the same instant run in the order in which they were arranged.

    Parameters
    ----------
    start_us : int
        The calendar's µs since the Unix epoch at the start; the monotonic clock starts at 0.
    """

    def __init__(self, start_us: int = 1_700_000_000_000_000) -> None:
        self._now = 0
        self._start_us = start_us
        self._order = 0
        self._calls: list[tuple[int, int, _Call]] = []

    def monotonic_ns(self) -> int:
        """See `Clock.monotonic_ns`."""
        return self._now

    def time_us(self) -> int:
        """See `Clock.time_us`."""
        return self._start_us + self._now // 1_000

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """See `Scheduler.call_at`."""
        call = _Call(callback)
        heapq.heappush(self._calls, (max(when_ns, self._now), self._order, call))
        self._order += 1
        return call

    def post(self, callback: Callable[[], None]) -> None:
        """See `Scheduler.post`; in virtual time there is only one thread."""
        self.call_at(self._now, callback)

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass, making every call that falls due."""
        end = self._now + round(seconds * 1e9)
        while self._calls and self._calls[0][0] <= end:
            self._now, _, call = heapq.heappop(self._calls)
            if not call.cancelled:
                call.callback()
        self._now = end
