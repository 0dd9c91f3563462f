"""How many ticks make one independent look at a pair, from the autocorrelation of both channels.

Of two channels that have nothing to do with each other, E|Σu_i·u_j*|² = ΣΣ ρ_i·ρ_j*: what counts is the sum of the
*product* of their autocorrelations over the lags (Bartlett 1946). It needs one autocorrelation a channel, not a pair.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST: Final = 1024
"""Past ticks kept at most; over longer windows every so many are, and shorter correlations count as that long."""

_LEAST_ROOM: Final = 64

_DENSE: Final = 4
"""Lags 1 to 4 are all measured, then four for each doubling."""


def spread_lags(reach: int) -> NDArray[np.intp]:
    """Return lags 1, 2, 3, ... that grow wider apart, four to a doubling, up to and with ``reach`` ≥ 1."""
    lags = [*range(1, min(_DENSE, reach) + 1)]
    while lags[-1] < reach:
        step = max(1, 1 << max(0, int(math.log2(lags[-1] / _DENSE))))
        lags.append(min(reach, lags[-1] + step))
    return np.array(lags, dtype=np.intp)


def lag_weights(lags: NDArray[np.intp], every: int, log_lambda: float) -> tuple[float, NDArray[np.float64]]:
    """Return q₀ and q with Σ_k λ^k·f(k) ≈ q₀·f(0) + Σ_m q_m·f(every·lag_m), for f straight between those lags.

    Parameters
    ----------
    lags : ndarray of int, shape (m,)
        1, ..., rising, in units of ``every`` ticks.
    every : int
        Ticks in a unit; the sum runs over k = 1, 2, ... every·lags[−1] ticks.
    log_lambda : float
        ln λ of a unit.
    """
    k = np.arange(1, int(lags[-1]) + 1, dtype=np.intp)
    dense = every * np.exp(k * log_lambda)
    # What lies between two units, both ends counted once: the trapezoid, and half of one end against the other.
    dense[-1] *= (every + 1) / (2 * every)
    upper = np.searchsorted(lags, k)
    lower = np.maximum(upper - 1, 0)
    share = np.where(upper > 0, (k - lags[lower]) / np.maximum(lags[upper] - lags[lower], 1), 1.0)
    q = np.bincount(upper, share * dense, lags.shape[0]).astype(np.float64)
    q += np.bincount(lower, (1.0 - share) * dense, lags.shape[0])
    return (every - 1) / 2.0, q


class PairCorrelation:
    """Leaky autocorrelations of each channel at a few lags up to the window's length.

    ρ(k) = ⟨x[n]·x[n−k]*⟩ over the mean of both powers, so that |ρ| ≤ 1; of phasors, over the number of ticks at which
    both were there.

    Parameters
    ----------
    channels : int
    tau_s, spacing_s : float
        Window and spacing in seconds.
    """

    def __init__(self, channels: int, tau_s: float, spacing_s: float) -> None:
        reach = max(1, round(tau_s / spacing_s))
        self._every = max(1, math.ceil(reach / LONGEST))
        self._spacing = spacing_s
        self._tau = tau_s
        self._log_lambda = -self._every * spacing_s / tau_s
        self._alpha = -math.expm1(self._log_lambda)
        self._lags = spread_lags(max(1, round(reach / self._every)))
        self._reach = int(self._lags[-1])
        self._weight_0, self._weights = lag_weights(self._lags, self._every, self._log_lambda)
        # The last `reach` ticks end at `_end`; the room behind them saves moving them at every tick.
        self._room = max(_LEAST_ROOM, self._reach)
        self._line: NDArray[np.complex128] = np.zeros((self._reach + self._room, channels), dtype=np.complex128)
        self._end = self._reach
        self._products: NDArray[np.complex128] = np.zeros((self._lags.shape[0], channels), dtype=np.complex128)
        self._powers: NDArray[np.float64] = np.zeros((self._lags.shape[0], channels))
        self._tick = 0
        self._pending = 0.0

    def take(self, x: NDArray[np.complex128]) -> None:
        """Take consecutive ticks, shape (n, channels); 0 for no phase."""
        kept = x[(-self._tick) % self._every :: self._every]
        self._tick += x.shape[0]
        for start in range(0, kept.shape[0], self._room):
            self._append(kept[start : start + self._room])

    def _append(self, x: NDArray[np.complex128]) -> None:
        """Take at least one kept tick and no more than there is room for."""
        m = x.shape[0]
        if self._end + m > self._line.shape[0]:
            self._line[: self._reach] = self._line[self._end - self._reach : self._end]
            self._end = self._reach
        first = self._end
        self._line[first : first + m] = x
        self._end += m
        weights = self._alpha * np.exp(np.arange(m - 1, -1, -1, dtype=np.float64) * self._log_lambda)
        decay = math.exp(m * self._log_lambda)
        self._products *= decay
        self._powers *= decay
        if m == 1:
            past = self._line[first - self._lags]
            self._products += self._alpha * x * np.conj(past)
            self._powers += self._alpha * _mean_power(x, past)
            return
        weighted = x * weights[:, None]
        for k, lag in enumerate(self._lags.tolist()):
            past = self._line[first - lag : first - lag + m]
            self._products[k] += (weighted * np.conj(past)).sum(axis=0)
            self._powers[k] += weights @ _mean_power(x, past)

    def skip(self, seconds: float) -> None:
        """Let time pass without ticks."""
        decay = math.exp(-seconds / self._tau)
        self._products *= decay
        self._powers *= decay
        self._pending += seconds / self._spacing
        ticks = math.floor(self._pending + 0.5)
        self._pending -= ticks
        kept = len(range((-self._tick) % self._every, ticks, self._every))
        self._tick += ticks
        empty = min(kept, self._reach)
        self._line[: self._reach - empty] = self._line[self._end - self._reach + empty : self._end]
        self._line[self._reach - empty : self._reach] = 0.0
        self._end = self._reach

    def factor(self) -> NDArray[np.float64]:
        """Ticks in one independent look at each pair, ≥ 1, (channels, channels): 1 + 2·Σ_k λ^k·Re ρ_i(k)·ρ_j(k)*.

        A lag that was not seen yet counts as ρ = 1, which errs on the side of too few looks.
        """
        seen = self._powers > 0.0
        rho: NDArray[np.complex128] = np.where(seen, self._products / np.where(seen, self._powers, 1.0), 1.0)
        parts = np.concatenate((rho.real, rho.imag))
        weights = np.tile(self._weights, 2)[:, None]
        total: NDArray[np.float64] = 1.0 + 2.0 * (self._weight_0 + parts.T @ (weights * parts))
        return np.maximum(1.0, total)


def _mean_power(x: NDArray[np.complex128], past: NDArray[np.complex128]) -> NDArray[np.float64]:
    """(|x|² + |past|²)/2, and 0 where either is 0."""
    power = (x.real**2 + x.imag**2 + past.real**2 + past.imag**2) / 2.0
    return np.where((x != 0.0) & (past != 0.0), power, 0.0)
