"""Where in a band a tone may be: the highest places of the periodogram, and how often noise has one as high."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.resonance.tone_fit import Array

OVERSAMPLING: Final = 4
"""Points of the search for each 1/T of frequency, at least: the best of them is within 0.23 dB of the peak."""

_CANDIDATES: Final = 4
_WORTH: Final = 0.5
_ELEMENTS: Final = 1 << 20


def uniform_peaks(y: Array, low: float, high: float) -> NDArray[np.float64]:
    """Return the highest local maxima of |FFT|² in a band, zero-padded at least fourfold.

    Parameters
    ----------
    y : ndarray of float or complex, shape (n,)
        Uniform samples, without their mean if that is to be ignored; 0 where missing.
    low, high : float
        In cycles per sample; −½..½, for real samples 0..½.

    Returns
    -------
    ndarray of float, shape (m,), 1 ≤ m ≤ 4
        Frequencies in cycles per sample, the highest first: the highest place, and others at least half as high.
    """
    size = 1 << (OVERSAMPLING * y.shape[0] - 1).bit_length()
    power = np.abs(np.fft.fft(y, size)) ** 2
    first, last = math.ceil(low * size), math.floor(high * size)
    at = np.arange(first, max(first, last) + 1, dtype=np.intp)
    frequencies: NDArray[np.float64] = np.divide(at, size)
    return _highest(power[at % size], frequencies)


def scattered_peaks(y: Array, t: NDArray[np.float64], low: float, high: float, *, offset: bool) -> NDArray[np.float64]:
    """Return the highest local maxima of what a least-squares sinusoid explains; O(n·m) for m frequencies.

    Parameters
    ----------
    y : ndarray of float or complex, shape (n,)
        Finite samples, without their mean if ``offset``.
    t : ndarray of float, shape (n,)
        Times from the centre.
    low, high : float
        Frequencies in cycles per unit of t.
    offset : bool
        Whether the model has a constant.
    """
    span = float(t.max() - t.min())
    grid = np.linspace(low, high, max(2, math.ceil(OVERSAMPLING * (high - low) * span) + 1))
    rows = max(1, _ELEMENTS // t.shape[0])
    parts = [_explained(y, t, grid[k : k + rows], offset=offset) for k in range(0, grid.shape[0], rows)]
    return _highest(np.concatenate(parts), grid)


def _explained(y: Array, t: NDArray[np.float64], f: NDArray[np.float64], *, offset: bool) -> NDArray[np.float64]:
    """L at each frequency: the generalised Lomb-Scargle periodogram (Zechmeister and Kürster, A&A 496, 2009, 577)."""
    waves = np.exp(2j * np.pi * f[:, None] * t)
    n = float(t.shape[0])
    ones, once, twice = np.full(f.shape[0], n), waves.sum(axis=1), (waves * waves).sum(axis=1)
    if np.iscomplexobj(y):
        b = (np.conj(waves) @ y)[:, None]
        m = ones[:, None, None].astype(np.complex128)
        if offset:
            b = np.stack((b[:, 0], np.zeros_like(b[:, 0])), axis=1)
            m = np.stack((ones, np.conj(once), once, ones), axis=1).reshape(-1, 2, 2)
    else:
        part = waves @ y
        b = np.stack((part.real, part.imag), axis=1)
        cc, ss, cs = 0.5 * (n + twice.real), 0.5 * (n - twice.real), 0.5 * twice.imag
        m = np.stack((cc, cs, cs, ss), axis=1).reshape(-1, 2, 2)
        if offset:
            c, s = once.real, once.imag
            b = np.concatenate((b, np.zeros((f.shape[0], 1))), axis=1)
            m = np.stack((cc, cs, c, cs, ss, s, c, s, ones), axis=1).reshape(-1, 3, 3)
    solved = np.linalg.solve(m, b[:, :, None])[:, :, 0]
    explained: NDArray[np.float64] = (np.conj(b) * solved).sum(axis=1).real
    return explained


def _highest(power: NDArray[np.float64], f: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequencies of the highest local maxima, the ends of the band among them."""
    around = np.concatenate(([-np.inf], power, [-np.inf]))
    tops = np.flatnonzero((power >= around[:-2]) & (power >= around[2:]))
    best = tops[np.argsort(power[tops])[::-1][:_CANDIDATES]]
    chosen: NDArray[np.float64] = f[best[power[best] >= _WORTH * power[best[0]]]]
    return chosen


def peak_p(share: float, degrees: float, width: float) -> float:
    """Bound how often white Gaussian noise, of unknown power, has a peak that explains this share of its energy.

    Parameters
    ----------
    share : float
        z = L/energy at the peak, 0..1.
    degrees : float
        Real numbers in the record: n for real samples, 2n for complex, less those of the constant.
    width : float
        W = (f_high − f_low)·√(4π·var t), about the number of independent frequencies in the band.

    Returns
    -------
    float
        0..1, at least the true probability: (1−z)^{(D−2)/2} at one frequency, and the expected number of times that
        the periodogram rises through z in the band, W·√z·(1−z)^{(D−3)/2}·Γ(D/2)/Γ((D−1)/2).

    Notes
    -----
    S. O. Rice's formula, as in R. B. Davies, Biometrika 74 (1987) 33, and R. V. Baluev, MNRAS 385 (2008) 1279, who
    has it for real samples; complex ones are the same with twice the degrees of freedom, as both are points on a
    sphere. R. A. Fisher's test (Proc. R. Soc. A 125, 1929, 54) looks at the Fourier frequencies only; the peak
    between them is higher, and would be called significant too often.
    """
    share = min(1.0, max(0.0, share))
    if share >= 1.0:
        return 0.0
    left = math.log1p(-share)
    log_gammas = math.lgamma(0.5 * degrees) - math.lgamma(0.5 * (degrees - 1.0))
    single = math.exp(0.5 * (degrees - 2.0) * left)
    rises = width * math.sqrt(share) * math.exp(0.5 * (degrees - 3.0) * left + log_gammas)
    return min(1.0, single + rises)
