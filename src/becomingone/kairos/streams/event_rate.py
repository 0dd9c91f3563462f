"""The encoder of events without a declared period: how many there are a second, and nothing more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.onepole import OnePole
from becomingone.kairos.streams.watch import Watch

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """A stretch of an event rate, a real stream like any sensor's.

    Parameters
    ----------
    start_ns : int
        Time of the first value in nanoseconds.
    spacing_ns : float
        Nanoseconds between values.
    rate_hz : ndarray of float, shape (n,)
        Events a second, ≥ 0.
    sigma_hz : float
        Deviation of the last value, of events that come independently of each other.
    gap_ns : float
        Nanoseconds that are missing before the first value.
    """

    start_ns: int
    spacing_ns: float
    rate_hz: NDArray[np.float64]
    sigma_hz: float
    gap_ns: float


class EventRate:
    """How many events a second, for events without a declared period; no phase is made up for them.

    r(t) = Σ_{t_k ≤ t} e^{−(t−t_k)/τ} / ∫ e^{−(t−s)/τ} ds over the time s that was watched: exact at each grid point,
    unbiased from the first on. Hand the values on to :class:`becomingone.kairos.streams.analog.AnalogEncoder` as
    samples in events a second: if the *rate* has a rhythm, the demodulator will find it.

    Parameters
    ----------
    tau_s : float
        Time constant in seconds, > 0.
    rate_hz : float
        Values given a second, > 0.
    since_ns : int
        From when on events are watched for.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """

    __slots__ = ("_count", "_pending", "_pole", "_since_ns", "_skipped_ns", "_spacing_ns", "_square", "_sum",
                 "_tau_ns", "_watch", "_weight")  # fmt: skip

    def __init__(self, tau_s: float, rate_hz: float, since_ns: int) -> None:
        for label, value in (("tau_s", tau_s), ("rate_hz", rate_hz)):
            if not (math.isfinite(value) and value > 0.0):
                raise KernelError(f"{label} is {value!r}; it must be finite and above 0")
        self._watch = Watch(since_ns)
        self._tau_ns = tau_s * 1e9
        self._spacing_ns = 1e9 / rate_hz
        self._since_ns = since_ns
        self._count = 0
        self._skipped_ns = 0.0
        self._pending = 0.0  # of events after the last grid point, each as it will stand at the next
        self._sum = 0.0
        self._weight = 0.0
        self._square = 0.0
        log_decay = -self._spacing_ns / self._tau_ns
        self._pole = OnePole(log_decay, 1.0)

    def band(self, name: str, tau_s: float) -> Never:
        """Refuse: there is no band in which these events would have a phase."""
        raise KernelError(f"band {name}: events without a declared period have a rate, not a phase (tau_s {tau_s:g})")

    def take(self, event_ns: NDArray[np.int64], until_ns: int) -> list[Rate]:
        """Take the events since the last call.

        Parameters
        ----------
        event_ns : ndarray of int, shape (k,)
            Times in nanoseconds, ascending, from the last call's end to ``until_ns``; k may be 0. Every event counts,
            also several at one instant.
        until_ns : int
            Up to when events were watched for.

        Returns
        -------
        list of Rate
            One stretch; empty while no grid point was passed.

        Raises
        ------
        KernelError
            When times are no whole numbers, not in order, or outside the time watched. Nothing has changed then.
        """
        events = self._watch.checked(event_ns, until_ns)
        self._watch.until_ns = until_ns
        # Grid point j lies at since + (j+1)·Δ and has the events up to it; those at `until` itself may still come.
        n = max(0, math.ceil((until_ns - self._since_ns) / self._spacing_ns) - 1 - self._count)
        position = (events - self._since_ns).astype(np.float64) / self._spacing_ns - self._count
        slot = np.clip(np.ceil(position).astype(np.intp) - 1, 0, n)
        fresh = np.zeros(n + 1)
        fresh[0] = self._pending
        np.add.at(fresh, slot, np.exp((position - slot - 1.0) * self._spacing_ns / self._tau_ns))
        self._pending = float(fresh[n])
        if not n:
            return []
        sums = self._pole.run(fresh[None, :n], np.array([self._sum]))[0]
        fading = np.exp(-np.arange(1, n + 1) * self._spacing_ns / self._tau_ns)
        weight = 1.0 - (1.0 - self._weight) * fading
        self._square = 1.0 - (1.0 - self._square) * float(fading[-1]) ** 2
        self._sum, self._weight = float(sums[-1]), float(weight[-1])
        rates = sums / (weight * self._tau_ns * 1e-9)
        sigma = math.sqrt(float(rates[-1]) * self._square / (2e-9 * self._tau_ns)) / self._weight
        out = Rate(self._since_ns + round((self._count + 1) * self._spacing_ns), self._spacing_ns, rates, sigma,
                   self._skipped_ns)  # fmt: skip
        self._count += n
        self._skipped_ns = 0.0
        return [out]

    def lose(self, until_ns: int) -> None:
        """Say that up to this time nobody watched: the rate is held, and weighs less against what comes.

        Raises
        ------
        KernelError
            When the time lies before the end of what was watched.
        """
        self._watch.later(until_ns)
        watched, lost = self._watch.until_ns, until_ns - self._watch.until_ns
        if not lost:
            return
        # All as it stands at the end of what was watched, then faded over what was not; the grid begins anew there.
        point = self._since_ns + self._count * self._spacing_ns
        partly = math.exp(-(watched - point) / self._tau_ns)
        fade = math.exp(-lost / self._tau_ns)
        ahead = math.exp((point + self._spacing_ns - watched) / self._tau_ns)
        self._sum = fade * (partly * self._sum + ahead * self._pending)
        self._weight = fade * (1.0 - (1.0 - self._weight) * partly)
        self._square = fade * fade * (1.0 - (1.0 - self._square) * partly * partly)
        self._pending = 0.0
        self._skipped_ns += until_ns - point
        self._since_ns, self._count = until_ns, 0
        self._watch.until_ns = until_ns
