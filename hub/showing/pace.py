"""How well the hub keeps its own pace: how long its ticks take, and how late they come."""

from __future__ import annotations

from typing import Any

from becomingone.scheduling import NANOSECONDS, Clock


class Pace:
    """Measures the ticks.

    Parameters
    ----------
    clock : Clock
        Its monotonic clock measures; in virtual time nothing takes any.
    period_s : float
        Seconds between ticks.
    """

    def __init__(self, clock: Clock, period_s: float) -> None:
        self._clock = clock
        self._period_ns = period_s * NANOSECONDS
        self._began_ns = clock.monotonic_ns()
        self._ended_ns: int | None = None
        self.ticks = 0
        self._busy_ns = 0
        self._longest_ns = 0
        self._latest_ns = 0

    def begin(self) -> None:
        """Take note that a tick begins."""
        now = self._clock.monotonic_ns()
        if self.ticks:
            self._latest_ns = max(self._latest_ns, int(now - self._began_ns - self._period_ns))
        self._began_ns = now

    def end(self) -> None:
        """Take note that it has ended."""
        self._ended_ns = self._clock.monotonic_ns()
        self.ticks += 1
        busy = self._ended_ns - self._began_ns
        self._busy_ns += busy
        self._longest_ns = max(self._longest_ns, busy)

    def silence_s(self) -> float:
        """Seconds since a tick last ended, or since this was made."""
        since = self._ended_ns if self._ended_ns is not None else self._began_ns
        return (self._clock.monotonic_ns() - since) / NANOSECONDS

    def figures(self) -> dict[str, Any]:
        """Give the figures since they were last asked for: seconds a tick, the longest, the greatest lateness."""
        ticks, busy = self.ticks, self._busy_ns
        result = {
            "ticks": ticks,
            "tick_s": round(busy / max(1, ticks) / NANOSECONDS, 6),
            "tick_longest_s": round(self._longest_ns / NANOSECONDS, 6),
            "tick_latest_s": round(max(0, self._latest_ns) / NANOSECONDS, 6),
        }
        self._longest_ns = self._latest_ns = 0
        return result
