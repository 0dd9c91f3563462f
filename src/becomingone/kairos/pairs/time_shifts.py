"""All circular time shifts of all pairs at once: the engine of :mod:`becomingone.kairos.pairs.surrogates`.

The figure of a pair at every shift is one inverse FFT; each channel is transformed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANCE_LEVEL: Final = 0.99
"""The share of the shifts that stays below ``ShiftTest.chance``."""

LEAST_OVERLAP: Final = 0.5
"""A shift counts only if both channels are there at this share, at least, of the true alignment's ticks."""

_TIE: Final = 1e-12
_TINY: Final = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class ShiftTest:
    """What the true alignment is worth against all shifted ones; arrays of shape (n_channels, n_channels).

    Parameters
    ----------
    value : ndarray of float
        The figure itself: PLV or correlation; 1 on the diagonal, NaN for a pair without a tick in common, or of
        which one does not fluctuate.
    chance : ndarray of float
        What 1 % of the shifts exceed, of those farther than a correlation time from the truth; 1 on the diagonal, NaN
        where there are none.
    p : ndarray of float
        Share of all shifts, zero among them, that do at least as well as zero, but never below 1/(independent + 1);
        1 on the diagonal.
    independent : ndarray of float
        How many independent shifts there are: the ticks both have over the correlation time of the pair. A p below
        1/(independent + 1) cannot be reached whatever the data: it is undecidable, not refuted.
    """

    value: NDArray[np.float64]
    chance: NDArray[np.float64]
    p: NDArray[np.float64]
    independent: NDArray[np.float64]


def all_shifts(x: NDArray[np.float64] | NDArray[np.complex128], known: NDArray[np.bool_]) -> ShiftTest:
    """Compare zero shift with all circular ones, for all pairs.

    Parameters
    ----------
    x : ndarray of float or complex, shape (n_ticks, n_channels)
        Fluctuations of mean 0, to be correlated, or phasors, to be locked; 0 where not known.
    known : ndarray of bool, same shape
    """
    n, channels = x.shape
    phases = np.iscomplexobj(x)
    spectrum = np.ascontiguousarray((np.fft.fft if phases else np.fft.rfft)(x, axis=0).T)
    masks = np.ascontiguousarray(np.fft.rfft(known.astype(np.float64), axis=0).T)
    complete: NDArray[np.bool_] = np.logical_and.reduce(known, axis=0)
    both = known.T.astype(np.float64) @ known
    # What a sum over the ticks in common is divided by: their number, or the root of the powers at those ticks.
    power = (x.real**2 + x.imag**2).T @ known
    unit = both if phases else np.sqrt(power * power.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.abs(x.T @ np.conj(x)) / unit if phases else (x.T @ x).real / unit
    np.fill_diagonal(value, 1.0)
    correlation = _correlation(spectrum, n, value, phases=phases)
    chance, p = np.eye(channels), np.ones((channels, channels))
    later = np.arange(n, dtype=np.intp)
    distance = np.minimum(later, n - later)
    for i in range(channels - 1):
        rest = slice(i + 1, channels)
        products = np.conj(spectrum[i]) * spectrum[rest]
        sums = np.abs(np.fft.ifft(products, n)) if phases else np.fft.irfft(products, n)
        count = np.full((1, 1), float(n))
        if not (complete[i] and complete[rest].all()):
            count = np.maximum(np.rint(np.fft.irfft(np.conj(masks[i]) * masks[rest], n)), 0.0)
        # A mean of phasors is compared as it is: of steady rhythms it is alike however many they are. A sum of
        # unrelated fluctuations grows as the root of their number, and common gaps would favour the true alignment.
        scale = np.maximum(count, 1.0) if phases else np.sqrt(np.maximum(count, 1.0))
        counted = count >= np.maximum(1.0, LEAST_OVERLAP * both[i, rest, None])
        figure = np.where(counted, sums / scale, -np.inf)
        true = figure[:, :1]
        number = np.broadcast_to(counted, figure.shape).sum(axis=1)
        reached = (figure >= true - _TIE * np.abs(true)).sum(axis=1) / np.maximum(number, 1)
        p[i, rest] = np.where(unit[i, rest] > 0.0, reached, 1.0)
        figure[distance <= correlation[i, rest, None]] = -np.inf
        level = _level(figure)
        some = unit[i, rest] > 0.0
        factor = 1.0 if phases else np.sqrt(both[i, rest]) / np.where(some, unit[i, rest], 1.0)
        chance[i, rest] = np.where(some, level * factor, np.nan)
    p = np.minimum(p, p.T)
    chance += np.triu(chance, 1).T
    independent = both / correlation
    p = np.maximum(p, 1.0 / (1.0 + independent))
    np.fill_diagonal(p, 1.0)
    return ShiftTest(value=value, chance=chance, p=p, independent=independent)


def _level(figure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what 1 % of each row's finite figures reach; NaN for a row without."""
    ordered = np.sort(figure, axis=1)
    number = np.isfinite(ordered).sum(axis=1)
    place = ordered.shape[1] - 1 - np.floor((1.0 - CHANCE_LEVEL) * number).astype(np.intp)
    level = ordered[np.arange(ordered.shape[0]), place]
    return np.where(number > 0, level, np.nan)


def _correlation(
    spectrum: NDArray[np.complex128], n: int, value: NDArray[np.float64], *, phases: bool
) -> NDArray[np.float64]:
    """Ticks in one independent shift of each pair, ≥ 1: Σ_k ρ_i(k)·ρ_j(k)* over all circular lags, from the spectra."""
    power = spectrum.real**2 + spectrum.imag**2
    weight = np.ones(power.shape[1])
    if not phases:
        # Half of a real series' spectrum stands for both halves.
        weight[1 : (n + 1) // 2] = 2.0
    products = (power * weight) @ power.T
    total = power @ weight
    lags = n * products / np.maximum(np.outer(total, total), _TINY)
    if phases:
        # Two steady rhythms of different frequencies have no line in common, and yet no independent shifts.
        own = np.sqrt(np.diag(lags))
        lags = np.maximum(lags, np.outer(own, own))
    else:
        # Raw spectra of correlated series rise and fall together, E[S_i·S_j] = (1 + r²)·E[S_i]·E[S_j]: without the
        # factor a better connection would have fewer independent shifts.
        lags /= 1.0 + np.minimum(1.0, np.nan_to_num(value) ** 2)
    return np.maximum(lags, 1.0)
