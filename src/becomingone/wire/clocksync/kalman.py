"""A Kalman filter of two states, offset and skew, for networks whose queues are short.

Each probe is a measurement of the offset. What its round trip has more than the least possible, e, was spent in queues
on either way; the offset that it gives is off by up to ±e/2, evenly: its variance is e²/12. So a slow probe is
not thrown away, but weighs little. The wander of the oscillator sets how fast old measurements are forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence

from becomingone.wire.clocksync.estimate import Line
from becomingone.wire.clocksync.probe import NANO, SKEW_SIGMA, WANDER, Bounds


class Kalman:
    """The filter; forgets nothing but by the oscillator's wander."""

    def __init__(self) -> None:
        self._line: Line | None = None
        self._at_ns = 0

    def take(self, burst: Sequence[Bounds], at_ns: int, *, least: float) -> Line:
        """Take the measurements of a burst, in order of time, and give the line at their reference instant.

        Parameters
        ----------
        burst : sequence of Bounds
            At least one.
        at_ns : int
            Their reference instant, ns of the node's clock.
        least : float
            The least round trip that is possible, s: somewhat less than the shortest that was seen.
        """
        line = self._line
        for probe in burst:
            when_ns = at_ns + round(probe.middle / NANO)
            if line is None:
                line = Line(probe.offset, 0.0, probe.round_trip**2 / 12.0, 0.0, SKEW_SIGMA**2)
            else:
                variance = (probe.round_trip - least) ** 2 / 12.0
                line = _measured(_moved(line, (when_ns - self._at_ns) * NANO), probe.offset, variance)
            self._at_ns = when_ns
        if line is None:
            msg = "a burst has at least one probe"
            raise ValueError(msg)
        self._line = line
        return _moved(line, (at_ns - self._at_ns) * NANO)


def _moved(line: Line, seconds: float) -> Line:
    """Give the line at an instant so many seconds later."""
    wander = WANDER * WANDER * seconds
    return Line(
        line.at(seconds),
        line.skew,
        line.variance(seconds),
        line.covariance + seconds * line.skew_var + wander * seconds / 2.0,
        line.skew_var + wander,
    )


def _measured(line: Line, offset: float, variance: float) -> Line:
    total = line.offset_var + variance
    gain, skew_gain = line.offset_var / total, line.covariance / total
    surprise = offset - line.offset
    return Line(
        line.offset + gain * surprise,
        line.skew + skew_gain * surprise,
        (1.0 - gain) * line.offset_var,
        (1.0 - gain) * line.covariance,
        line.skew_var - skew_gain * line.covariance,
    )
