"""A simulated machine's clocks, which are off as real ones are, and a process on it, which can be killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from becomingone.scheduling import MICROSECONDS, Scheduler, Timer

_BILLION: Final = 1_000_000_000


class HostClock:
    """The clocks of one machine: an oscillator that drifts, and a calendar that is off and may be set.

    Parameters
    ----------
    scheduler : Scheduler
        True time.
    offset_s : float
        The calendar is ahead by this at the start, s.
    drift_ppm : float
        The oscillator is fast by this, parts per million; both clocks drift with it.
    """

    def __init__(self, scheduler: Scheduler, *, offset_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        self._scheduler = scheduler
        self._drift_ppb = max(1 - _BILLION, round(drift_ppm * 1e3))
        self._start_us = scheduler.time_us() - scheduler.monotonic_ns() // 1_000 + round(offset_s * MICROSECONDS)

    def monotonic_ns(self) -> int:
        """See `Clock.monotonic_ns`."""
        return self._local_ns(self._scheduler.monotonic_ns())

    def time_us(self) -> int:
        """See `Clock.time_us`."""
        return self._start_us + self.monotonic_ns() // 1_000

    def step(self, by_s: float) -> None:
        """Set the calendar forwards, or back."""
        self._start_us += round(by_s * MICROSECONDS)

    def true_ns(self, local_ns: int) -> int:
        """Give the first instant of true time at which this machine's monotonic clock has reached `local_ns`."""
        if not self._drift_ppb:
            return local_ns
        true = -(-local_ns * _BILLION // (_BILLION + self._drift_ppb))
        while self._local_ns(true) < local_ns:
            true += 1
        return true

    def _local_ns(self, true_ns: int) -> int:
        return true_ns + true_ns * self._drift_ppb // _BILLION if self._drift_ppb else true_ns


class Process:
    """A scheduler that lives by one machine's clocks, and gives no more turns once it has been killed.

    Parameters
    ----------
    scheduler : Scheduler
        True time, and the turns.
    clock : HostClock
        The machine's clocks.
    """

    def __init__(self, scheduler: Scheduler, clock: HostClock) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._alive = True

    def monotonic_ns(self) -> int:
        """See `Clock.monotonic_ns`."""
        return self._clock.monotonic_ns()

    def time_us(self) -> int:
        """See `Clock.time_us`."""
        return self._clock.time_us()

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """See `Scheduler.call_at`."""
        return self._scheduler.call_at(self._clock.true_ns(when_ns), lambda: callback() if self._alive else None)

    def post(self, callback: Callable[[], None]) -> None:
        """See `Scheduler.post`."""
        self._scheduler.post(lambda: callback() if self._alive else None)

    def end(self) -> None:
        """Die: whatever was arranged will not happen."""
        self._alive = False
