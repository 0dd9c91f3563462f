"""Offset and skew from a window of probes, for networks with long queues: a straight line in the middle of a corridor.

Every ping says that the offset was at most so much, every pong that it was at least so much. The line has to pass
below all of the one and above all of the other, and the shortest way of each direction pulls at it: among all lines the
one with the widest corridor on both sides is the most likely, when the times in queues are distributed exponentially
and the rest of the two ways is the same. The two directions are judged apart, so that a probe whose ping was fast and
whose pong was slow is worth as much as a fast one: with n probes the error falls as 1/n, where an average of offsets
falls as 1/√n. It is the method of [1]_ and [2]_, taken for both directions at once; that a delay is never less than
the shortest one makes it immune to spikes, however lopsided.

The result is the mean of the posterior over all skews, and its variance: with a skew given, what the fastest ping and
the fastest pong still spent in queues are exponential, each with its direction's mean over n.

References
----------
.. [1] S. B. Moon, P. Skelly, D. Towsley, "Estimation and removal of clock skew from network delay measurements",
   INFOCOM 1999.
.. [2] V. Paxson, "On calibrating measurements of packet transit times", SIGMETRICS 1998.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from becomingone.wire.clocksync.estimate import Line
from becomingone.wire.clocksync.probe import SKEW_SIGMA, WANDER, Bounds

MOST_SKEW: Final = 0.02
"""Greatest skew that is considered. No crystal has it, but a system clock that is being slewed does."""

QUICK: Final = 8
"""The mean time in queues is judged by the quickest of so many probes: what counts is how dense they are near 0."""

_FAR: Final = 3.0
_LEAST_QUEUE_S: Final = 2e-7
_GRID: Final = 33
_NEGLIGIBLE: Final = 10.0
_HALVINGS: Final = 40
_GOLDEN: Final = (math.sqrt(5.0) - 1.0) / 2.0

_UNSURE: Final = 1.3
"""The mean time in queues is itself known from a few probes only, to a third or so: variances are the greater."""

_BEND: Final = 0.14
"""Standard error of the end of a line that is fitted to a wandering oscillator, in wander·length^1.5 (simulated)."""

Point = tuple[float, float]


class _Corridor(NamedTuple):
    """The corners of the corridor: no other probe can be touched by a line."""

    above: Sequence[Point]
    below: Sequence[Point]

    def walls(self, skew: float) -> tuple[float, float]:
        """Give the least and greatest offset at the reference instant that a line of this skew may have."""
        return (
            max([value - skew * when for when, value in self.below]),
            min([value - skew * when for when, value in self.above]),
        )

    def margin(self, skew: float) -> float:
        """Half of the width."""
        lower, upper = self.walls(skew)
        return (upper - lower) / 2.0


def fit(probes: Sequence[Bounds]) -> Line:
    """Fit the line to a window of probes.

    Parameters
    ----------
    probes : sequence of Bounds
        At least one, in order of time.

    Returns
    -------
    Line
        At the reference instant of the probes, which should be near their end.
    """
    if not probes:
        msg = "a window has at least one probe"
        raise ValueError(msg)
    corridor = _Corridor(
        _hull([(probe.sent, probe.upper) for probe in probes], 1.0),
        _hull([(probe.received, probe.lower) for probe in probes], -1.0),
    )
    number = len(probes)
    up, down = _queues(probes, corridor, _peak(corridor.margin, -MOST_SKEW, MOST_SKEW))
    weight = 4.0 * number / (up + down)

    def likelihood(skew: float) -> float:
        return weight * corridor.margin(skew) - _doubt(skew)

    rows: list[tuple[float, float, float]] = []
    peak = _peak(likelihood, -MOST_SKEW, MOST_SKEW)
    most = likelihood(peak)
    low = _edge(likelihood, peak, -MOST_SKEW, most - _NEGLIGIBLE)
    high = _edge(likelihood, peak, MOST_SKEW, most - _NEGLIGIBLE)
    for step in range(_GRID):
        skew = low + (high - low) * step / (_GRID - 1)
        lower, upper = corridor.walls(skew)
        rows.append((math.exp(likelihood(skew) - most), skew, (lower + upper) / 2.0))
    total = sum(share for share, _, _ in rows)
    skew = sum(share * skew for share, skew, _ in rows) / total
    offset = sum(share * offset for share, _, offset in rows) / total
    length = probes[-1].received - probes[0].sent
    within = (up * up + down * down) / (4.0 * number * number)
    between = sum(share * (one - offset) ** 2 for share, _, one in rows) / total
    return Line(
        offset + (down - up) / (2.0 * number),
        skew,
        _UNSURE * (between + within) + (_BEND * WANDER) ** 2 * length**3,
        _UNSURE * sum(share * (one - offset) * (rate - skew) for share, rate, one in rows) / total,
        _UNSURE * sum(share * (rate - skew) ** 2 for share, rate, _ in rows) / total,
    )


def _doubt(skew: float) -> float:
    """Give minus the logarithm of what is believed of a skew beforehand: normal, with heavy tails (Huber's)."""
    far = abs(skew) / SKEW_SIGMA
    return 0.5 * far * far if far <= _FAR else _FAR * (far - 0.5 * _FAR)


def _hull(points: Sequence[Point], sign: float) -> list[Point]:
    """Give the lower convex hull of points in order of time; with `sign` −1 the upper one (Andrew's monotone chain)."""
    hull: list[Point] = []
    for when, value in points:
        while len(hull) >= 2:
            (t0, v0), (t1, v1) = hull[-2], hull[-1]
            if sign * ((v1 - v0) * (when - t0) - (value - v0) * (t1 - t0)) < 0.0:
                break
            hull.pop()
        hull.append((when, value))
    return hull


def _queues(probes: Sequence[Bounds], corridor: _Corridor, skew: float) -> tuple[float, float]:
    """Estimate the mean times in queues, up and down, from the probes that are nearest to the walls, s."""
    lower, upper = corridor.walls(skew)
    number = len(probes)
    rank = min(number - 1, max(4, number // QUICK))
    scale = -1.0 / math.log1p(-rank / (number + 1.0)) if rank else 1.0
    waits_up = sorted(probe.upper - skew * probe.sent - upper for probe in probes)
    waits_down = sorted(lower - probe.lower + skew * probe.received for probe in probes)
    alone = (upper - lower) / 2.0 if number == 1 else 0.0  # one probe says nothing of queues: all of it may be one
    return (
        max(_LEAST_QUEUE_S, alone, scale * waits_up[rank]),
        max(_LEAST_QUEUE_S, alone, scale * waits_down[rank]),
    )


def _peak(concave: Callable[[float], float], low: float, high: float) -> float:
    """Find where a concave function is greatest (golden section)."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = concave(left), concave(right)
    for _ in range(_HALVINGS):
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = concave(right)
        else:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = concave(left)
    return (low + high) / 2.0


def _edge(concave: Callable[[float], float], peak: float, end: float, level: float) -> float:
    """Find where it has fallen to a level between its peak and an end; the end where it has not."""
    if concave(end) >= level:
        return end
    inside, outside = peak, end
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2.0
        if concave(middle) >= level:
            inside = middle
        else:
            outside = middle
    return outside
