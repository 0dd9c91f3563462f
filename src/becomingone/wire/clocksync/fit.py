"""From bursts of probes to mesh time: which estimator, what is remembered, and when to begin anew."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from becomingone.wire.clocksync import corridor
from becomingone.wire.clocksync.estimate import Estimate, Line
from becomingone.wire.clocksync.kalman import Kalman
from becomingone.wire.clocksync.probe import NANO, Bounds, Probe, bounds

WINDOW_NS: Final = 90_000_000_000
"""A burst is remembered for 90 s,"""

LEAST_BURSTS: Final = 6
"""or until so many have come after it,"""

MOST_BURSTS: Final = 32
"""but never longer than until so many have."""

LOADED_S: Final = 3e-4
"""The network counts as loaded when the median round trip is so much above the shortest, s,"""

QUIET_S: Final = 1.5e-4
"""and as quiet when it is less than this above it. There the oscillator's wander within the window is the greater
error, on a loaded network the queues are."""

STRANGE: Final = 5.0
"""Standard deviations by which the quickest probe of a burst may differ from what was predicted, and twice those by
which the last four may on average, before the oscillator counts as changed."""

_RECENT: Final = 4
_SURE: Final = 3.0
_RESOLUTION_S: Final = 1e-6

Method = Literal["kalman", "corridor"]


class ClockFit:
    """Estimates mesh time from bursts.

    It begins anew with another life of the hub, and when a burst *proves* that a clock has jumped: each probe bounds
    the offset to half of its round trip, whatever the network does. A change of an oscillator's rate shows as a
    prediction that keeps missing; then the last bursts alone count.
    """

    def __init__(self) -> None:
        self._bursts: deque[tuple[Probe, ...]] = deque(maxlen=MOST_BURSTS)
        self._kalman = Kalman()
        self._method: Method = "corridor"
        self._hub_boot = -1
        self._ahead_ns = 0
        self._line: Line | None = None
        self._at_ns = 0
        self._misses: deque[float] = deque(maxlen=_RECENT)

    def take(self, burst: Sequence[Probe], *, hub_boot: int, hub_sigma_s: float) -> Estimate:
        """Take a burst and give the new estimate.

        Parameters
        ----------
        burst : sequence of Probe
            At least one, in order of time, all answered by one life of one hub.
        hub_boot : int
            Which.
        hub_sigma_s : float
            Standard deviation of its clock, s.
        """
        burst = _agreeing(burst)
        at_ns = burst[-1].received_ns
        if hub_boot != self._hub_boot or (self._line is not None and self._jumped(burst, at_ns, self._line)):
            self._forget()
        self._hub_boot = hub_boot
        anew = not self._bursts
        if anew:
            self._ahead_ns = burst[-1].hub_sent_ns - at_ns
        self._remember(burst, at_ns)
        line = self._fitted(at_ns, len(burst))
        self._line, self._at_ns = line, at_ns
        return Estimate(
            at_ns=at_ns,
            mesh_ns=at_ns + self._ahead_ns + round(line.offset / NANO),
            line=line._replace(offset=0.0),
            hub_sigma_s=hub_sigma_s,
            round_trip_s=min(probe.round_trip_ns for one in self._bursts for probe in one) * NANO,
            anew=anew,
            bursts=len(self._bursts),
            fitted_by=self._method,
        )

    def _fitted(self, at_ns: int, number: int) -> Line:
        """Fit everything that is remembered, of which the last `number` probes are new."""
        window = self._window(at_ns)
        newest = window[-number:]
        trips = sorted(probe.round_trip for probe in window)
        shortest, spread = trips[0], trips[len(trips) // 2] - trips[0]
        least = shortest - max(_RESOLUTION_S, spread / math.sqrt(len(window)))
        if self._line is not None:
            keep = self._to_keep(min(newest, key=lambda probe: probe.round_trip), at_ns, least, self._line)
            if keep < len(self._bursts):
                self._bursts = deque(list(self._bursts)[-keep:], maxlen=MOST_BURSTS)
                self._kalman = Kalman()
                newest = window = self._window(at_ns)
        filtered = self._kalman.take(newest, at_ns, least=least)
        if spread > LOADED_S:
            self._method = "corridor"
        elif spread < QUIET_S and len(self._bursts) >= _RECENT:
            self._method = "kalman"
        line = filtered if self._method == "kalman" else corridor.fit(window)
        return _within(line, window[-number:])

    def _window(self, at_ns: int) -> list[Bounds]:
        return bounds([probe for burst in self._bursts for probe in burst], at_ns, at_ns + self._ahead_ns)

    def _remember(self, burst: Sequence[Probe], at_ns: int) -> None:
        self._bursts.append(tuple(burst))
        while len(self._bursts) > LEAST_BURSTS and at_ns - self._bursts[0][0].sent_ns > WINDOW_NS:
            self._bursts.popleft()

    def _forget(self) -> None:
        self._bursts.clear()
        self._misses.clear()
        self._kalman = Kalman()
        self._method = "corridor"
        self._line = None

    def _jumped(self, burst: Sequence[Probe], at_ns: int, line: Line) -> bool:
        """Tell whether a probe proves the prediction wrong.

        The first bursts say next to nothing of the rate: what the next one proves wrong may be the guess that there is
        hardly any.
        """
        since = (at_ns - self._at_ns) * NANO
        guessed = corridor.MOST_SKEW * since if len(self._bursts) < _RECENT else 0.0
        slack = _SURE * math.sqrt(line.variance(since)) + _RESOLUTION_S + guessed
        return any(
            line.at(since + probe.sent) > probe.upper + slack or line.at(since + probe.received) < probe.lower - slack
            for probe in bounds(burst, at_ns, at_ns + self._ahead_ns)
        )

    def _to_keep(self, quickest: Bounds, at_ns: int, least: float, line: Line) -> int:
        """Tell how many of the last bursts still say something of the oscillator as it is now."""
        if len(self._bursts) <= _RECENT:  # of which only now something is known
            return len(self._bursts)
        since = (at_ns - self._at_ns) * NANO + quickest.middle
        variance = line.variance(since) + (quickest.round_trip - least) ** 2 / 12.0
        self._misses.append((quickest.offset - line.at(since)) / math.sqrt(variance))
        if abs(self._misses[-1]) > STRANGE:
            keep = 1
        elif len(self._misses) == _RECENT and abs(sum(self._misses)) > STRANGE / 2.0 * _RECENT:
            keep = _RECENT
        else:
            return len(self._bursts)
        self._misses.clear()
        return keep


def _within(line: Line, newest: Sequence[Bounds]) -> Line:
    """Keep a line within what the newest burst proves, whatever the statistics say."""
    skew = min(max(line.skew, -corridor.MOST_SKEW), corridor.MOST_SKEW)
    lower = max(probe.lower - skew * probe.received for probe in newest)
    upper = min(probe.upper - skew * probe.sent for probe in newest)
    offset = min(max(line.offset, lower), upper) if lower <= upper else (lower + upper) / 2.0
    return line._replace(offset=offset, skew=skew)


def _agreeing(burst: Sequence[Probe]) -> Sequence[Probe]:
    """Give the end of a burst whose probes can all be true: a clock may have jumped in its midst."""
    last = burst[-1]
    lower, upper = -math.inf, math.inf
    for number, probe in enumerate(reversed(bounds(burst, last.received_ns, last.hub_sent_ns))):
        slack = corridor.MOST_SKEW * -probe.sent + _RESOLUTION_S
        lower, upper = max(lower, probe.lower - slack), min(upper, probe.upper + slack)
        if lower > upper:
            return burst[-number:]
    return burst
