"""The encoders of events (heartbeats, steps, packets): a rhythm where a period is declared, else a rate.

With a declared period P each event becomes a raised cosine of one period about its instant, h(t) = 1 + cos(2πt/P) for
|t| < P/2. Events exactly P apart then add up to 1 + cos(2π(t − t_k)/P) exactly, on any grid, without harmonics: less
the 1, a pure tone whose phase at each event is 0. As h is even, events of another period P' have the phase 0 at the
events too. (An impulse at its instant would have all harmonics as strong as the tone, of which a band of ω₀τ = 5 leaves
4 %, and needs fractional samples: a share f of a spacing Δ between two grid points, divided linearly between them, has
a phase error of (ω₀Δ)³·f(1−f)(1−2f)/6.) The price is a latency of P/2: a sample waits for the events that reach it.

Without a period there is no phase to speak of, and none is made up: :mod:`becomingone.kairos.streams.event_rate`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band
from becomingone.kairos.streams.encoded import Encoded
from becomingone.kairos.streams.watch import Watch

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES_PER_PERIOD: Final = 16
"""Grid points in a declared period. Events of another period leave an alias below 2e-4 of the tone."""

SILENT_PERIODS: Final = 2.0
"""Periods without an event after which the stream is silent."""


class PeriodicEvents:
    """Events of a declared period as a tone on a uniform grid, phase 0 at each event; memory is constant.

    Parameters
    ----------
    period_s : float
        P in seconds, > 0: what the events are believed to be apart. A claim about the sender, not a measurement.
    since_ns : int
        From when on events are watched for. The first sample lies P/2 later, when all that reach it are known.

    Raises
    ------
    KernelError
        When a value is out of its range.

    Notes
    -----
    Samples are √2·(Σh − 1): of power 1, and of mean 0 while the rate is the declared one. The amplitude falls where
    events are missing or scattered, for another period P' to 2·sin(πε)/(π(1 − ε²)), ε = P/P'. Events that are no rhythm
    (a Poisson process) give band-limited noise, whose coherence the kernel tests as it does any other's.
    """

    __slots__ = ("_count", "_origin_ns", "_pending", "_period_ns", "_skipped_ns", "_spacing_ns", "_told", "_watch")

    def __init__(self, period_s: float, since_ns: int) -> None:
        if not (math.isfinite(period_s) and period_s > 0.0):
            raise KernelError(f"period_s is {period_s!r}; it must be finite and above 0")
        self._watch = Watch(since_ns)
        self._period_ns = period_s * 1e9
        self._spacing_ns = self._period_ns / SAMPLES_PER_PERIOD
        self._origin_ns = since_ns  # grid point j lies at the origin + P/2 + j·Δ
        self._count = 0  # of grid points that were given or passed over
        self._skipped_ns = 0.0
        self._told: int | None = None  # the latest event
        # Σh at the next grid points, as far as events reach.
        self._pending: NDArray[np.float64] = np.zeros(SAMPLES_PER_PERIOD + 2)

    def band(self, name: str, tau_s: float) -> Band:
        """Return the band in which these events are a tone."""
        return Band.of(name, 1e9 / self._period_ns, tau_s)

    def take(self, event_ns: NDArray[np.int64], until_ns: int) -> list[Encoded]:
        """Take the events since the last call.

        Parameters
        ----------
        event_ns : ndarray of int, shape (k,)
            Times in nanoseconds, ascending, from the last call's end to ``until_ns``; k may be 0. Of events at one
            instant the first counts.
        until_ns : int
            Up to when events were watched for.

        Returns
        -------
        list of Encoded
            The samples that no later event can reach, one stretch; empty if there are none yet.

        Raises
        ------
        KernelError
            When times are no whole numbers, not in order, or outside the time watched. Nothing has changed then.
        """
        events = self._watch.checked(event_ns, until_ns)
        told = self._told
        first = np.diff(events, prepend=events[0] - 1 if told is None and events.shape[0] else (told or 0)) > 0
        fresh = events[first]
        self._watch.until_ns = until_ns
        n = self._last_before(until_ns) - self._count + 1
        ready = max(0, n)
        sums = np.zeros(ready + SAMPLES_PER_PERIOD + 2)
        sums[: self._pending.shape[0]] = self._pending
        self._add(sums, fresh)
        out: list[Encoded] = []
        if ready:
            out.append(self._encoded(sums[:ready], fresh, told, int(events.shape[0] - fresh.shape[0])))
            self._count += ready
            self._skipped_ns = 0.0
        self._pending = sums[ready:]
        if fresh.shape[0]:
            self._told = int(fresh[-1])
        return out

    def lose(self, until_ns: int) -> None:
        """Say that up to this time nobody watched: no samples are given that an unseen event could have reached.

        Raises
        ------
        KernelError
            When the time lies before the end of what was watched.
        """
        self._watch.later(until_ns)
        if until_ns == self._watch.until_ns:
            return
        self._watch.until_ns = until_ns
        self._told = None
        # The first grid point that lies P/2 or more after the time lost.
        point = max(self._count, math.ceil((until_ns - self._origin_ns) / self._spacing_ns))
        self._skipped_ns += (point - self._count) * self._spacing_ns
        self._count = point
        self._pending[:] = 0.0

    def _last_before(self, until_ns: int) -> int:
        """Return the last grid point that no event after this time can reach: origin + P/2 + jΔ + P/2 ≤ until."""
        return math.floor((until_ns - self._origin_ns - self._period_ns) / self._spacing_ns)

    def _add(self, sums: NDArray[np.float64], events: NDArray[np.int64]) -> None:
        """Add each event's h to the grid points from the present one on."""
        # Grid point j is t_k − P/2 < origin + P/2 + jΔ < t_k + P/2, in spacings from the present one.
        position = (events - self._origin_ns).astype(np.float64) / self._spacing_ns - (
            SAMPLES_PER_PERIOD / 2 + self._count
        )
        nearest = np.floor(position).astype(np.intp)
        reach = np.arange(-SAMPLES_PER_PERIOD // 2, SAMPLES_PER_PERIOD // 2 + 2)
        at = nearest[:, None] + reach
        away = at - position[:, None]
        pulse = np.where(
            np.abs(away) < SAMPLES_PER_PERIOD / 2, 1.0 + np.cos(away * (2 * np.pi / SAMPLES_PER_PERIOD)), 0.0
        )
        inside = (at >= 0) & (pulse > 0.0)
        np.add.at(sums, at[inside], pulse[inside])

    def _encoded(
        self, sums: NDArray[np.float64], events: NDArray[np.int64], told: int | None, duplicates: int
    ) -> Encoded:
        """Turn finished sums into samples."""
        n = len(sums)
        offsets = self._period_ns / 2 + (self._count + np.arange(n, dtype=np.float64)) * self._spacing_ns
        # The latest event that reaches each sample, or any before it: silent if that was more than two periods ago.
        known = np.concatenate(([-np.inf if told is None else float(told - self._origin_ns)],
                                (events - self._origin_ns).astype(np.float64)))  # fmt: skip
        latest = known[np.searchsorted(known, offsets + self._period_ns / 2, side="left") - 1]
        silent: NDArray[np.bool_] = offsets - latest > SILENT_PERIODS * self._period_ns
        samples = math.sqrt(2.0) * (sums - 1.0)
        samples[silent] = 0.0
        nothing = np.zeros(n, dtype=np.bool_)
        return Encoded(
            start_ns=self._origin_ns + round(float(offsets[0])),
            spacing_ns=self._spacing_ns,
            dt_s=None,
            samples=samples,
            weight=np.ones_like(sums),
            missing=nothing,
            saturated=nothing,
            silent=silent,
            gap_ns=self._skipped_ns,
            irregular=False,
            duplicates=duplicates,
            mean=0.0,
            rms=1.0,
        )
