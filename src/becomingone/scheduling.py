"""Time and turns, passed in: what lets a run be replayed bit for bit.

Nothing in the project asks the operating system for the time or starts a timer; it asks the `Scheduler` that it
was given. `LoopScheduler` is the real one, on asyncio; the deterministic bench has one over virtual time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second."""

MICROSECONDS = 1_000_000
"""Microseconds in a second."""


class Clock(Protocol):
    """Two clocks: one that never steps, and the calendar's."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that only moves forwards; its zero means nothing."""
        ...

    def time_us(self) -> int:
        """Microseconds since the Unix epoch, by this machine's system clock, which may step."""
        ...


class Timer(Protocol):
    """A call that has been arranged and can still be called off."""

    def cancel(self) -> None:
        """Call it off; harmless when it has already happened."""
        ...


@runtime_checkable
class Scheduler(Clock, Protocol):
    """A clock that also gives turns: all callbacks of one scheduler run one after the other, never at once."""

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """Call back when `monotonic_ns` has reached `when_ns`; at once, but not now, when it is past."""
        ...

    def post(self, callback: Callable[[], None]) -> None:
        """Call back on the scheduler's own thread as soon as it is free; safe from any thread."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def monotonic_ns(self) -> int:
        """See `Clock.monotonic_ns`."""
        return time.monotonic_ns()

    def time_us(self) -> int:
        """See `Clock.time_us`."""
        return time.time_ns() // 1_000


class LoopScheduler(SystemClock):
    """A scheduler on a running asyncio event loop.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Its ``time()`` must be ``time.monotonic()``, as every standard loop's is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """See `Scheduler.call_at`."""
        return self.loop.call_at(when_ns / NANOSECONDS, callback)

    def post(self, callback: Callable[[], None]) -> None:
        """See `Scheduler.post`."""
        self.loop.call_soon_threadsafe(callback)


class Repeating:
    """A callback at a steady pace, without drift: the n-th call is due at start + n·period.

    A turn that comes late is not made up for: the turns that were missed are skipped and counted in `missed`.

    Parameters
    ----------
    scheduler : Scheduler
        Gives the turns.
    period_ns : int
        Nanoseconds between calls, at least 1.
    callback : callable
        Called without arguments; an exception that leaves it reaches the scheduler, and the repetition goes on: one
        bad turn must not end all later ones in silence.
    """

    def __init__(self, scheduler: Scheduler, period_ns: int, callback: Callable[[], None]) -> None:
        if period_ns < 1:
            msg = f"a period is at least 1 ns, not {period_ns}"
            raise ValueError(msg)
        self.missed = 0
        self._scheduler = scheduler
        self._period = period_ns
        self._callback = callback
        self._due = scheduler.monotonic_ns() + period_ns
        self._cancelled = False
        self._timer: Timer = scheduler.call_at(self._due, self._turn)

    def cancel(self) -> None:
        """Stop; no further call is made."""
        self._cancelled = True
        self._timer.cancel()

    def _turn(self) -> None:
        if not self._cancelled:
            try:
                self._callback()
            finally:
                self._arrange()

    def _arrange(self) -> None:
        if self._cancelled:  # by the callback itself
            return
        late = max(0, self._scheduler.monotonic_ns() - self._due) // self._period
        self.missed += late
        self._due += (late + 1) * self._period
        self._timer = self._scheduler.call_at(self._due, self._turn)


class MeshClock:
    """Monotonic time and its map to mesh time, µs since the Unix epoch.

    The map is read off the system clock once, at the start, so that a later step of the system clock disturbs no
    phase. Estimating it over MQTT takes this place when clock synchronisation comes.

    Parameters
    ----------
    clock : Clock
        The machine's clocks.
    sigma_s : float
        Standard deviation of the system clock against the mesh's, s; at least 0.
    """

    def __init__(self, clock: Clock, sigma_s: float = 0.0) -> None:
        self._clock = clock
        before = clock.monotonic_ns()
        self._origin_us = clock.time_us()
        after = clock.monotonic_ns()
        self._origin_ns = (before + after) // 2
        bracket_s = (after - before) / (2 * NANOSECONDS)
        self.sigma_s = float((sigma_s**2 + bracket_s**2) ** 0.5)

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that only moves forwards."""
        return self._clock.monotonic_ns()

    def mesh_us(self, monotonic_ns: int) -> int:
        """Mesh time at an instant of the monotonic clock."""
        return self._origin_us + (monotonic_ns - self._origin_ns) // 1_000

    def now_us(self) -> int:
        """Mesh time now."""
        return self.mesh_us(self._clock.monotonic_ns())
