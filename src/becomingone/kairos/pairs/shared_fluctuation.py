"""Do channels share their irregularity? The test that needs no shift, and so can tell more than the shifts allow.

A window holds about as many independent time shifts as correlation times, so their rank cannot show a small p: half a
minute of walking has fifteen. What is uniform under chance is more than the shift: at every frequency the phase between
two unrelated stationary fluctuations. The correlation is a sum of cosines of those phases, whose law is known.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.gamma import gamma_tail
from becomingone.kairos.pairs.cosine_sum import cosine_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPLETE: Final = 0.75
"""Share of the channels that must be known at a tick for it to count: of two and of three all of them."""

LEAST_TICKS: Final = 16
LEAST_LINES: Final = 3
"""Frequencies below which nothing is said: with fewer even perfect agreement proves little."""

SURROGATES: Final = 4000
"""Random sets of phases for 3 up to `FEW` channels."""

FEW: Final = 7
_BATCH: Final = 1 << 20
_MARGIN: Final = 1.5
_EXACT_EACH: Final = 64
_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True)
class SharedFluctuation:
    """What channels share, and how often unrelated ones would share as much.

    Parameters
    ----------
    value : float
        Mean correlation of all pairs, weighted, −1..1; NaN, and p = 1, where nothing can be said.
    p : float
        Probability that unrelated channels reach it, 0..1, one-sided.
    independent : float
        1/variance of the value by chance: so many independent looks of one pair would be worth as much.
    each : ndarray of float, shape (n_channels,)
        Correlation of each channel with the weighted mean of the others; NaN where there is none.
    each_p : ndarray of float, shape (n_channels,)
        Its p, of that channel alone; of more than 64 channels by the normal law.
    ticks : int
        Ticks that counted.
    beaten : float
        Of two channels, the share of the circular time shifts, farther than a correlation time, that do at least as
        well; NaN of more. It is exact whatever the law, but there are only so many independent shifts.
    """

    value: float
    p: float
    independent: float
    each: NDArray[np.float64]
    each_p: NDArray[np.float64]
    ticks: int
    beaten: float = math.nan


def shared_fluctuation(
    fluctuation: NDArray[np.float64],
    known: NDArray[np.bool_],
    spacing_s: float,
    *,
    highest_hz: float,
    rng: np.random.Generator,
    weight: NDArray[np.float64] | None = None,
) -> SharedFluctuation:
    """Test whether channels share their fluctuations.

    Parameters
    ----------
    fluctuation, known : ndarray of float and of bool, shape (n_ticks, n_channels)
        As :func:`becomingone.kairos.pairs.fluctuation.fluctuations` returns them. Ticks that too few know are cut out.
    spacing_s : float
        Seconds from tick to tick, > 0.
    highest_hz : float
        Faster fluctuations are left out, > 0. Choose what the band's filter lets through, and less than the rhythm
        itself: its overtones make a ripple at its own frequency, which two unrelated rhythms of one pace have alike.
    rng : Generator
        Source of the random phases for three and more channels.
    weight : ndarray of float, shape (n_channels,), optional
        ≥ 0; a pair counts by the product of its two. Default: all alike.

    Raises
    ------
    KernelError
        When a shape, a weight, the spacing or the frequency is out of its range.

    Notes
    -----
    The fluctuations are replaced by their normal scores (E. R. Fieller and E. S. Pearson, Biometrika 48, 1961), so that
    a few great ones, at a stumble or a start, do not decide alone.

    Of two channels the law is exact for stationary Gaussian fluctuations. Of more it is drawn, 4,000 times for up to 7
    channels; the tail beyond, and all of more channels, is a gamma's of the same variance and third moment: of 3 to 7
    channels it is too great (up to 12 times at 1e-3), of more it was seen too small by 0.67 and is taken 1.5 times.
    A small p says that some of the channels are connected, not that all are.
    """
    x, own, ticks = _spectra(fluctuation, known, spacing_s, highest_hz)
    channels = x.shape[1]
    w = np.ones(channels) if weight is None else weight
    if w.shape != (channels,) or not (np.isfinite(w).all() and (w >= 0.0).all()):
        raise KernelError(f"weights of shape {w.shape}; {channels} finite ones, at least 0, needed")
    w = np.where(own > 0.0, w, 0.0)
    nothing = np.full(channels, math.nan), np.ones(channels)
    pairs = 0.5 * (float(w.sum()) ** 2 - float(w @ w))
    if x.shape[0] < LEAST_LINES or not pairs > 0.0 or int((w > 0.0).sum()) < 2:
        return SharedFluctuation(math.nan, 1.0, 0.0, *nothing, ticks)
    x = x * np.where(own > 0.0, 1.0 / np.sqrt(np.maximum(own, _TINY)), 0.0)
    weighted = x * w
    together = weighted.sum(axis=1)
    amplitude = np.abs(weighted)
    total = 0.5 * float((together.real**2 + together.imag**2).sum() - (amplitude * amplitude).sum())
    variance, third = _moments(amplitude)
    each, each_p = _against_the_others(x, weighted, together, w > 0.0)
    independent = pairs * pairs / max(variance, _TINY)
    beaten = math.nan
    if int((w > 0.0).sum()) == 2:
        p = float(np.nanmin(each_p))
        beaten = _beaten(x[:, w > 0.0], ticks, independent)
    else:
        p = _many(amplitude[:, w > 0.0], total, variance, third, rng)
    return SharedFluctuation(total / pairs, p, independent, each, each_p, ticks, beaten)


def _against_the_others(
    x: NDArray[np.complex128],
    weighted: NDArray[np.complex128],
    together: NDArray[np.complex128],
    there: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each channel's correlation with the sum of the others, and its p."""
    others = together[:, None] - weighted
    size = np.sqrt((others.real**2 + others.imag**2).sum(axis=0))
    there = there & (size > 0.0)
    others /= np.where(there, size, 1.0)
    amplitude = np.abs(x) * np.abs(others)
    each = np.where(there, (x.real * others.real + x.imag * others.imag).sum(axis=0), math.nan)
    p = np.ones(x.shape[1])
    which = np.flatnonzero(there).tolist()
    if len(which) == 2:  # one pair, seen from either side
        p[which] = cosine_tail(amplitude[:, which[0]], float(each[which[0]]))
    elif len(which) <= _EXACT_EACH:
        for k in which:
            p[k] = cosine_tail(amplitude[:, k], float(each[k]))
    else:
        z = each / np.sqrt(np.maximum((amplitude * amplitude).sum(axis=0), _TINY))
        for k in which:
            p[k] = 0.5 * math.erfc(float(z[k]))
    return each, p


def _beaten(x: NDArray[np.complex128], ticks: int, independent: float) -> float:
    """Return the share of the shifts of one channel against the other that do at least as well as none."""
    lines = np.zeros(ticks // 2 + 1, dtype=np.complex128)
    lines[1 : x.shape[0] + 1] = x[:, 0] * np.conj(x[:, 1])
    figure = np.fft.irfft(lines, ticks)
    shift = np.arange(ticks, dtype=np.intp)
    far = figure[np.minimum(shift, ticks - shift) > ticks / max(1.0, independent)]
    return float((far >= figure[0]).mean()) if far.shape[0] else 1.0


def _spectra(
    fluctuation: NDArray[np.float64], known: NDArray[np.bool_], spacing_s: float, highest_hz: float
) -> tuple[NDArray[np.complex128], NDArray[np.float64], int]:
    """Return the lines of the normal scores up to the highest frequency, each channel's power there, and the ticks."""
    if fluctuation.ndim != 2 or fluctuation.shape != known.shape or fluctuation.shape[1] < 2:
        raise KernelError(
            f"shapes {fluctuation.shape} and {known.shape}; both (n_ticks, n_channels), 2 channels or more"
        )
    for name, value in (("spacing_s", spacing_s), ("highest_hz", highest_hz)):
        if not (math.isfinite(value) and value > 0.0):
            raise KernelError(f"{name} is {value!r}; it must be finite and above 0")
    channels = int(fluctuation.shape[1])
    counted = known.sum(axis=1) >= COMPLETE * channels
    x, known = fluctuation[counted], known[counted]
    n = x.shape[0]
    if n < LEAST_TICKS:
        return np.zeros((0, channels), dtype=np.complex128), np.zeros(channels, dtype=np.float64), n
    scores = np.zeros((n, channels))
    order = np.argsort(np.where(known, x, np.inf), axis=0, kind="stable")
    count = known.sum(axis=0)
    moving = np.abs(x).max(axis=0) > 0.0
    for k in np.flatnonzero(moving).tolist():
        scores[order[: count[k], k], k] = _normal_scores(int(count[k]))
    lines: NDArray[np.complex128] = np.fft.rfft(scores, axis=0)[1:]
    lines = lines[np.fft.rfftfreq(n, spacing_s)[1:] <= highest_hz]
    return lines, np.asarray(np.square(np.abs(lines)).sum(axis=0), dtype=np.float64), n


@functools.lru_cache(maxsize=64)
def _normal_scores(n: int) -> NDArray[np.float64]:
    """Return the expected order statistics of n normal variables, by G. Blom's formula (1958)."""
    quantile = NormalDist().inv_cdf
    half = np.array([quantile((k - 0.375) / (n + 0.25)) for k in range(1, n // 2 + 1)])
    middle = np.zeros(n % 2)
    return np.concatenate((half, middle, -half[::-1]))


def _moments(amplitude: NDArray[np.float64]) -> tuple[float, float]:
    """Return variance and third moment of Σ_pairs Σ_f a_i·a_j·cos(θ_i − θ_j) for uniform θ.

    A pair has ½·a_i²·a_j²; of three pairs only those of one triangle go together, six ways at ¼·a_i²·a_j²·a_k².
    """
    power = amplitude * amplitude
    one, two, three = power.sum(axis=1), (power**2).sum(axis=1), (power**3).sum(axis=1)
    pairs = 0.5 * (one * one - two)
    triangles = (one**3 - 3.0 * one * two + 2.0 * three) / 6.0
    return 0.5 * float(np.maximum(pairs, 0.0).sum()), 1.5 * float(np.maximum(triangles, 0.0).sum())


def _many(
    amplitude: NDArray[np.float64], total: float, variance: float, third: float, rng: np.random.Generator
) -> float:
    """Return p for three and more channels."""
    tail = _gamma(total, variance, third)
    channels = amplitude.shape[1]
    if channels > FEW:
        return min(1.0, _MARGIN * tail)
    reached = 0
    own = 0.5 * float((amplitude * amplitude).sum())
    batch = max(1, _BATCH // amplitude.size)
    for first in range(0, SURROGATES, batch):
        turns = rng.random((min(batch, SURROGATES - first), *amplitude.shape))
        together = (amplitude * np.exp(2j * math.pi * turns)).sum(axis=2)
        reached += int((0.5 * (together.real**2 + together.imag**2).sum(axis=1) - own >= total).sum())
    drawn = (1 + reached) / (1 + SURROGATES)
    return drawn if reached else min(drawn, tail)


def _gamma(total: float, variance: float, third: float) -> float:
    """Return the tail of a gamma variable of mean 0 with this variance and third moment."""
    if not variance > 0.0:
        return 1.0
    z = total / math.sqrt(variance)
    skew = third / variance**1.5
    if skew < 1e-3:
        return 0.5 * math.erfc(z / math.sqrt(2.0))
    shape = 4.0 / (skew * skew)
    return gamma_tail(shape, max(0.0, shape + 2.0 * z / skew))
