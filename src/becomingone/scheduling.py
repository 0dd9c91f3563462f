"""Time and turns, passed in: what lets a run be replayed bit for bit.

Nothing in the project asks the operating system for the time or starts a timer; it asks the `Scheduler` that it
was given. `LoopScheduler` is the real one, on asyncio; the deterministic bench has one over virtual time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, runtime_checkable

NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second."""

MICROSECONDS = 1_000_000
"""Microseconds in a second."""

STEP_NS: Final = 20_000_000
"""Mesh time that is further away is stepped, where it may be; nearer, it is slewed."""

SLEW: Final = 5e-4
"""By how much mesh time runs faster or slower while it is corrected; as adjtime does (500 ppm)."""

LEAST_SLEW_NS: Final = NANOSECONDS
"""The smallest correction takes so long, too."""

MOST_SKEW: Final = 0.02
"""Greatest skew of a line that a mesh clock follows."""

_PIECES: Final = 64


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
        try:
            own = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            own = False
        if own:  # the loop is awake: to wake it would cost a write, a read and a look at all streams
            self.loop.call_soon(callback)
        else:
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
    aligned : bool
        Whether the calls are due at multiples of the period on the monotonic clock instead: what has the same period
        then has its turns together, and the machine may sleep in between.
    """

    def __init__(
        self, scheduler: Scheduler, period_ns: int, callback: Callable[[], None], *, aligned: bool = False
    ) -> None:
        if period_ns < 1:
            msg = f"a period is at least 1 ns, not {period_ns}"
            raise ValueError(msg)
        self.missed = 0
        self._scheduler = scheduler
        self._period = period_ns
        self._callback = callback
        now = scheduler.monotonic_ns()
        self._due = now + period_ns - (now % period_ns if aligned else 0)
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


class MeshLine(Protocol):
    """What is known of mesh time: ``mesh_ns + (1 + skew)·(t − at_ns)`` at an instant t of the monotonic clock, ns."""

    @property
    def at_ns(self) -> int:
        """An instant of the monotonic clock, ns."""
        ...

    @property
    def mesh_ns(self) -> int:
        """Mesh time then, ns since the Unix epoch."""
        ...

    @property
    def skew(self) -> float:
        """Rate of mesh time against the monotonic clock, minus 1."""
        ...

    def sigma_s(self, now_ns: int) -> float:
        """Give the standard deviation of the mesh time that this says an instant is, s."""
        ...


class _Piece(NamedTuple):
    """A piece of the map, from an instant on."""

    at_ns: int
    mesh_ns: int
    skew: float

    def __call__(self, monotonic_ns: int) -> int:
        passed = monotonic_ns - self.at_ns
        return self.mesh_ns + passed + round(self.skew * passed)


class MeshClock:
    """Monotonic time and its map to mesh time.

    The map is read off the system clock once, at the start, so that a later step of the system clock disturbs no
    phase. `steer` brings it to what has been measured since: by a step where that is allowed, else by a map that is
    continuous and never goes back. What it has said of an instant stays said, for the last 32 corrections.

    Parameters
    ----------
    clock : Clock
        The machine's clocks.
    sigma_s : float
        Standard deviation of the system clock against the mesh's, s; at least 0.

    Attributes
    ----------
    steered : bool
        Whether mesh time has been measured; else it is the system clock's.
    steps : int
        How often it has been stepped after the first time.
    """

    def __init__(self, clock: Clock, sigma_s: float = 0.0) -> None:
        self.steered = False
        self.steps = 0
        self._clock = clock
        before = clock.monotonic_ns()
        origin_us = clock.time_us()
        after = clock.monotonic_ns()
        self._stepped: deque[tuple[int, int]] = deque(maxlen=_PIECES)
        self._pieces = deque((_Piece((before + after) // 2, origin_us * 1_000, 0.0),), maxlen=_PIECES)
        bracket_s = (after - before) / (2 * NANOSECONDS)
        self._unsteered_s = float((sigma_s**2 + bracket_s**2) ** 0.5)
        self._line: MeshLine | None = None

    @property
    def sigma_s(self) -> float:
        """Standard deviation of mesh time as it is told now, s; grows with the time since the last measurement."""
        line = self._line
        if line is None:
            return self._unsteered_s
        now_ns = self._clock.monotonic_ns()
        return float(math.hypot(line.sigma_s(now_ns), (_on(line, now_ns) - self.mesh_ns(now_ns)) / NANOSECONDS))

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that only moves forwards."""
        return self._clock.monotonic_ns()

    def mesh_ns(self, monotonic_ns: int) -> int:
        """Mesh time at an instant of the monotonic clock, ns since the Unix epoch."""
        for piece in reversed(self._pieces):
            if piece.at_ns <= monotonic_ns:
                return piece(monotonic_ns)
        return self._pieces[0](monotonic_ns)

    def mesh_us(self, monotonic_ns: int) -> int:
        """Mesh time at an instant of the monotonic clock, µs since the Unix epoch."""
        return self.mesh_ns(monotonic_ns) // 1_000

    def now_us(self) -> int:
        """Mesh time now."""
        return self.mesh_us(self._clock.monotonic_ns())

    def stepped_ns(self, since_ns: int) -> int:
        """By how much mesh time has been stepped since: what was timed at that instant was so many ns too early."""
        return sum(by_ns for at_ns, by_ns in self._stepped if at_ns > since_ns)

    def steer(self, line: MeshLine, *, may_step: bool = False) -> int:
        """Go over to a line.

        Parameters
        ----------
        line : MeshLine
            What has been measured; its skew is within ±`MOST_SKEW`.
        may_step : bool
            Step where it is further away than `STEP_NS`, and change what was said of the past with it. The first time
            steps in any case. Otherwise mesh time runs up to `SLEW` faster or slower until it is on the line.

        Returns
        -------
        int
            By how much mesh time has been stepped, ns; 0 where it has not.

        Raises
        ------
        ValueError
            The skew is out of range.
        """
        if not abs(line.skew) <= MOST_SKEW:
            msg = f"a skew is within ±{MOST_SKEW:g}, not {line.skew}"
            raise ValueError(msg)
        now_ns = self._clock.monotonic_ns()
        here_ns = self.mesh_ns(now_ns)
        away_ns = _on(line, now_ns) - here_ns
        self._line = line
        if not self.steered or (may_step and abs(away_ns) > STEP_NS):
            self.steps += self.steered
            self.steered = True
            self._pieces.clear()
            self._pieces.append(_Piece(now_ns, here_ns + away_ns, line.skew))
            self._stepped.append((now_ns, away_ns))
            return away_ns
        while self._pieces[-1].at_ns > now_ns:  # the end of an earlier correction, which this one replaces
            self._pieces.pop()
        lasts_ns = max(LEAST_SLEW_NS, round(abs(away_ns) / SLEW))
        slewing = _Piece(now_ns, here_ns, line.skew + away_ns / lasts_ns)
        self._pieces.append(slewing)
        self._pieces.append(_Piece(now_ns + lasts_ns, slewing(now_ns + lasts_ns), line.skew))
        return 0


def _on(line: MeshLine, now_ns: int) -> int:
    return _Piece(line.at_ns, line.mesh_ns, line.skew)(now_ns)
