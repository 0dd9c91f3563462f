"""How unlikely a residual is: the tail probabilities that the witness layers rest on.

All are exact for Gaussian innovations, or to the accuracy stated; each p is uniform on 0..1 when nothing is wrong,
which is what makes a test of their uniformity a test of the witnesses themselves.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_UP_TO: Final = 64
"""Numbers of p-values whose uniformity is tested exactly; a histogram serves for more."""

TABLED_UP_TO: Final = 16
"""Numbers of p-values for which the exact test is tabulated once: a few hundredths of a second each."""

KNOWN: Final = 1e8
"""Innovations that stand behind a scale which was given, not learnt."""

BINS: Final = 10
_TINY: Final = 1e-300
_STEPS: Final = 400
_CANCELS: Final = 1e-9
_NODES: Final = 64


def normal_tail(z: float, learnt_from: float = KNOWN) -> float:
    """Two-sided tail of one normalised innovation whose scale was learnt from ``learnt_from`` others.

    Student's t, brought to a normal deviate by D. L. Wallace, Bounds on normal approximations to Student's and the
    chi-square distributions, Ann. Math. Stat. 30, 1959: √(m·ln(1 + z²/m))·(8m + 1)/(8m + 3).
    """
    m = learnt_from
    deviate = math.sqrt(m * math.log1p(z * z / m)) * (8.0 * m + 1.0) / (8.0 * m + 3.0)
    return math.erfc(deviate / math.sqrt(2.0))


def beta_cdf(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), a, b > 0, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast below the mean; above it the complement does.
    if x < (a + 1.0) / (a + b + 2.0):
        return min(1.0, front * _fraction(a, b, x) / a)
    return max(0.0, 1.0 - front * _fraction(b, a, 1.0 - x) / b)


def _fraction(a: float, b: float, x: float) -> float:
    """Lentz's evaluation of the continued fraction of I_x(a, b)·a/front."""
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def nis_p(nis: float, n: int, learnt_from: float = KNOWN) -> float:
    """Two-sided p-value of the mean normalised innovation squared of n innovations.

    n·NIS is χ² with n degrees of freedom when the scale is known; when it was itself the mean square of m
    innovations, NIS is Fisher's F(n, m), and χ² would raise false alarms. Both too much (noise, a lie) and too little
    (a stuck sensor) are improbable.

    Parameters
    ----------
    nis : float
        ≥ 0.
    n : int
        Innovations in the window, ≥ 1.
    learnt_from : float
        m, ≥ 1; the default is as good as infinite.
    """
    m = learnt_from
    ratio = n * nis / (n * nis + m)
    below = beta_cdf(0.5 * n, 0.5 * m, ratio)
    above = beta_cdf(0.5 * m, 0.5 * n, m / (n * nis + m))
    return min(1.0, 2.0 * min(below, above))


def white_p(rho: float, n: int) -> float:
    """Two-sided p-value of the lag-1 autocorrelation Σe_t·e_{t−1}/Σe_t² of n innovations.

    For white Gaussian innovations its mean is 0 and its variance exactly (n − 1)/(n·(n + 2)); it is taken as the
    symmetric beta distribution on −1..1 with that variance.
    """
    if n < 2:
        return 1.0
    freedom = n * (n + 2.0) / (n - 1.0) - 1.0
    return beta_cdf(0.5 * freedom, 0.5, max(0.0, 1.0 - rho * rho))


def fisher(p: float, q: float) -> float:
    """Combine two independent p-values: pq·(1 − ln pq) (R. A. Fisher, Statistical Methods, 1932: χ² with 4 d.f.)."""
    product = p * q
    return product * (1.0 - math.log(product)) if product > 0.0 else 0.0


def crossing_p(lower: NDArray[np.float64], upper: NDArray[np.float64]) -> float:
    """Probability that the i-th smallest of n uniform numbers leaves lower[i]..upper[i] for some i.

    Parameters
    ----------
    lower, upper : ndarray of float, shape (n,)
        Rising, 0..1.

    Notes
    -----
    The number of values up to t is a Poisson process with n points in 0..1 that is carried from bound to bound;
    counts that break a bound are struck out (E. Khmaladze and E. Shinjikashvili 2001; A. Moscovich and B. Nadler,
    Stat. Probab. Lett. 123, 2017). Exact to rounding; a result below 1e-9 is lost in it.
    """
    n = int(lower.shape[0])
    counts = np.arange(n + 1, dtype=np.float64)
    log_factorial = np.array([math.lgamma(k + 1.0) for k in range(n + 1)])
    # At lower[i] at most i values may lie below, at upper[i] at least i + 1.
    times = np.concatenate((lower, upper))
    most = [*range(n), *([n] * n)]
    least = [*([0] * n), *range(1, n + 1)]
    state = np.zeros(n + 1)
    state[0] = 1.0
    now = 0.0
    for at in np.argsort(times, kind="stable").tolist():
        step = float(times[at]) - now
        if step > 0.0:
            arrivals = np.exp(counts * math.log(n * step) - n * step - log_factorial)
            state = np.convolve(state, arrivals)[: n + 1]
            now = float(times[at])
        state[: least[at]] = 0.0
        state[most[at] + 1 :] = 0.0
    rest = float(state[n]) * math.exp(-n * (1.0 - now))
    stay = rest * math.exp(log_factorial[n] + n - n * math.log(n))
    return min(1.0, max(0.0, 1.0 - stay))


def order_tails(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(U ≤ x) and P(U > x) of each order statistic of n uniform numbers, x of shape (..., n).

    The i-th is Beta(i, n + 1 − i); as sums of the binomial distribution, every term of which is positive, so that the
    smallest tail keeps its digits.
    """
    n = int(x.shape[-1])
    inside = np.clip(x, 1e-300, 1.0 - 2.0**-53)[..., None]
    counts = np.arange(n + 1, dtype=np.float64)
    log_factorial = np.array([math.lgamma(k + 1.0) for k in range(n + 1)])
    log_ways = log_factorial[n] - log_factorial - log_factorial[::-1]
    terms = np.exp(log_ways + counts * np.log(inside) + (n - counts) * np.log1p(-inside))
    reached = np.arange(n + 1) > np.arange(n)[:, None]
    return np.where(reached, terms, 0.0).sum(axis=-1), np.where(reached, 0.0, terms).sum(axis=-1)


def _band_p(n: int, level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that any of n order statistics has a two-sided p-value of at most ``level``, shape (m,)."""
    low, high = np.zeros((level.shape[0], n)), np.ones((level.shape[0], n))
    for _ in range(56):
        middle = 0.5 * (low + high)
        above = order_tails(middle)[0] > 0.5 * level[:, None]
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    return np.array([crossing_p(row, 1.0 - row[::-1]) for row in low])


@functools.cache
def order_table(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln(level), rising, and ln(_band_p/level), which is smooth, for interpolation."""
    log_level = math.log(_CANCELS) * np.linspace(1.0, 0.0, _NODES) ** 2
    log_ratio = np.log(np.maximum(_band_p(n, np.exp(log_level)), _CANCELS)) - log_level
    return log_level, log_ratio


def order_p(p: NDArray[np.float64]) -> float:
    """p-value of the most improbable order statistic of independent p-values, shape (n,), 1 ≤ n ≤ 64.

    The two-sided M_n of R. H. Berk and D. H. Jones 1979 (A. Moscovich, B. Nadler and C. Spiegelman, Electron. J.
    Stat. 10, 2016), exact, up to n = 16 interpolated to 2e-3. Unlike Kolmogorov and Smirnov's distance it also sees
    one tiny p among many.
    """
    n = int(p.shape[0])
    below, above = order_tails(np.sort(p))
    level = min(1.0, 2.0 * float(np.minimum(below, above).min()))
    if level * n < _CANCELS:
        return level * n
    if n > TABLED_UP_TO:
        return min(1.0, level * n, float(_band_p(n, np.array([level]))[0]))
    log_level = math.log(level)
    return min(1.0, level * n, level * math.exp(float(np.interp(log_level, *order_table(n)))))


def uniformity_p(p: NDArray[np.float64]) -> float:
    """Test whether p-values are uniform: p-value of the whole set.

    Parameters
    ----------
    p : ndarray of float, shape (n,)
        Independent p-values, 0..1, n ≥ 1.

    Returns
    -------
    float
        0..1. Up to 64 values, twice the smaller of :func:`order_p` of the values, which finds values that are too
        small or too large, and of the distance of 2p from 1, which finds values that crowd in the middle. For more,
        twice the smaller of Pearson's χ² of a histogram of 10 bins and the p-value of the most extreme value.
        (Bonferroni, valid however the two depend on each other.)

    Raises
    ------
    KernelError
        When there is no value, or one is not within 0..1.
    """
    if p.ndim != 1 or p.shape[0] == 0 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise KernelError(f"uniformity of p-values of shape {p.shape}; there must be at least one, all within 0..1")
    n = int(p.shape[0])
    if n <= EXACT_UP_TO:
        return min(1.0, 2.0 * min(order_p(p), order_p(np.abs(2.0 * p - 1.0))))
    counts = np.bincount(np.minimum((p * BINS).astype(np.intp), BINS - 1), minlength=BINS)
    chi2 = float(np.square(counts - n / BINS).sum()) * BINS / n
    shape_p = beta_cdf(0.5 * KNOWN, 0.5 * (BINS - 1), KNOWN / (chi2 + KNOWN))
    extreme = min(1.0, 2.0 * min(float(p.min()), 1.0 - float(p.max())))
    return min(1.0, 2.0 * min(shape_p, -math.expm1(n * math.log1p(-extreme)) if extreme < 1.0 else 1.0))
