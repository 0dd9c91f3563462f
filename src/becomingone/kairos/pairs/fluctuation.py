"""The fluctuation of a phase about its own slow trend.

Two nearly periodic channels keep a constant phase difference for long whether or not they ever met: what they share
by chance is their regularity. What only a connection makes them share is their irregularity, so that is what is left
here: the phase less its trend over some periods.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.pairs.pair_products import inverse, present

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_COVERAGE: Final = 0.5 - 1e-9
"""Share of the trend's window that must hold phases, in pairs before and after, for a fluctuation to count: half of it,
and rounding does not decide."""

ROUNDING: Final = 1e-9
"""Radians below which a fluctuation is rounding error, which two channels may well share, and counts as 0."""

_BATCH: Final = 1 << 18


def smooth_length(n: int) -> int:
    """Return the largest number up to n ≥ 1 without a prime factor above 5: the FFT of a length with one is slow."""
    while True:
        rest = n
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n -= 1


def unit_phasors(phasors: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return z/|z| and 0 where there is no phase, after checking that the shape is (n_ticks, n_channels).

    Raises
    ------
    KernelError
        When there are fewer than 2 ticks or 2 channels.
    """
    if phasors.ndim != 2 or phasors.shape[0] < 2 or phasors.shape[1] < 2:
        raise KernelError(f"phasors of shape {phasors.shape}; (n_ticks, n_channels), at least 2 of each, needed")
    z, modulus, _ = present(np.asarray(phasors, dtype=np.complex128))
    return z * inverse(modulus)


def mean_turn(u: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return each channel's mean advance from tick to tick, in radians, −π..π, shape (n_channels,)."""
    turn: NDArray[np.float64] = np.angle((u[1:] * np.conj(u[:-1])).sum(axis=0))
    return turn


def trend_ticks(spacing_s: float, trend_s: float) -> int:
    """Return half the width of the trend's window in ticks, ≥ 1.

    Raises
    ------
    KernelError
        When a time is not finite and above 0, or the window spans fewer than 2 ticks.
    """
    for name, value in (("spacing_s", spacing_s), ("trend_s", trend_s)):
        if not (math.isfinite(value) and value > 0.0):
            raise KernelError(f"{name} is {value!r}; it must be finite and above 0")
    if trend_s < 2.0 * spacing_s:
        raise KernelError(f"trend_s is {trend_s:g} s; it must span at least 2 ticks of {spacing_s:g} s")
    return max(1, round(trend_s / (2.0 * spacing_s)))


def fluctuations(
    phasors: NDArray[np.complex128], spacing_s: float, trend_s: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Phase of each channel less its trend.

    The trend is the phase of the Hann-weighted mean phasor about the tick, after the channel's mean frequency is
    taken away. Phases are never unwrapped, so a turn lost in a gap or in a weak moment changes nothing elsewhere.
    Only ticks that have a partner on the other side count in the mean: a window cut off by a gap or by the end of the
    record would lag behind a drifting phase, in all channels at the same time, and so feign a connection.

    Parameters
    ----------
    phasors : ndarray of complex, shape (n_ticks, n_channels)
        Uniform ticks; 0, NaN, infinities: no phase.
    spacing_s : float
        Seconds from tick to tick, > 0.
    trend_s : float
        Width of the window in seconds, at least 2 ticks. 8 times the time constant of the band's filter is a good
        choice: a shorter one leaves little, a longer one leaves few independent looks.

    Returns
    -------
    fluctuation : ndarray of float, shape (n_ticks, n_channels)
        Radians, −π..π; 0 where it is not known.
    known : ndarray of bool, same shape
        The channel has a phase and half of the window.

    Raises
    ------
    KernelError
        When a shape or a time is out of its range.
    """
    u = unit_phasors(phasors)
    half = trend_ticks(spacing_s, trend_s)
    n = u.shape[0]
    v = u * np.exp(-1j * np.outer(np.arange(n, dtype=np.float64), mean_turn(u)))
    window = np.hanning(2 * half + 3)[1:-1]
    window /= window.sum()
    trend = np.zeros_like(v)
    coverage = np.zeros(v.shape)
    whole = np.zeros(v.shape, dtype=np.bool_)
    if n > 2 * half:
        inside = slice(half, n - half)
        gaps = np.concatenate((np.zeros((1, v.shape[1])), np.cumsum(v == 0.0, axis=0)))
        whole[inside] = gaps[2 * half + 1 :] == gaps[: -2 * half - 1]
        trend[inside] = _convolve(v, window)
        coverage[whole] = 1.0
    _pairwise_trend(v, window, np.argwhere(~whole & (v != 0.0)), trend, coverage)
    known = (v != 0.0) & (coverage >= LEAST_COVERAGE)
    fluctuation = np.angle(v * np.conj(trend))
    fluctuation[~known | (np.abs(fluctuation) < ROUNDING)] = 0.0
    return fluctuation, known


def _convolve(v: NDArray[np.complex128], window: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Weighted means over whole windows, shape (n − len(window) + 1, c)."""
    n, width = v.shape[0], window.shape[0]
    # A circular convolution spoils only its first ticks, which belong to no whole window.
    length = n
    while smooth_length(length) != length:
        length += 1
    transform = np.fft.fft(v, length, axis=0) * np.fft.fft(window, length)[:, None]
    return np.fft.ifft(transform, axis=0)[width - 1 : n]


def _pairwise_trend(
    v: NDArray[np.complex128],
    window: NDArray[np.float64],
    where: NDArray[np.intp],
    trend: NDArray[np.complex128],
    coverage: NDArray[np.float64],
) -> None:
    """Write the means over those ticks of the window that have a partner on the other side, where asked for."""
    half = window.shape[0] // 2
    edge = np.zeros((half, v.shape[1]), dtype=np.complex128)
    line = np.concatenate((edge, v, edge))
    offsets = np.arange(window.shape[0], dtype=np.intp)
    batch = max(1, _BATCH // window.shape[0])
    for start in range(0, where.shape[0], batch):
        ticks, channels = where[start : start + batch].T
        around = line[ticks[:, None] + offsets, channels[:, None]]
        both = (around != 0.0) & (around[:, ::-1] != 0.0)
        trend[ticks, channels] = (around * both) @ window
        coverage[ticks, channels] = both @ window
