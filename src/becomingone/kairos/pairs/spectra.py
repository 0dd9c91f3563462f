"""From epochs of samples to complex coefficients: the front end of the pairwise measures for recorded data.

Exactly the convention of mne-connectivity's ``mode="fourier"``: each epoch less its mean, times a symmetric Hann
window, one real FFT. Streams do not need it: their channels are demodulated already.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_CYCLES: Final = 5.0
"""Periods that an epoch should hold: below that a Hann-windowed spectrum cannot tell the frequency from the mean."""

_BATCH: Final = (16_000, 32_000)
"""Samples transformed at a time, of little and of much data: an eighth to a quarter of a megabyte, in memory that is
used again, because fresh memory costs more than the arithmetic (measured)."""

_FEW: Final = 2.8
"""Up to this many frequencies for each factor of 2 in an epoch's length, a product with the waves themselves is
faster than an FFT that computes all of them (measured)."""


def band_edges(n_times: int, sfreq: float, fmin: float | None, fmax: float | None) -> tuple[int, int]:
    """Return the first bin of the real FFT within fmin..fmax (both included), and the one after the last.

    Parameters
    ----------
    n_times : int
        Samples in an epoch, ≥ 2.
    sfreq : float
        Sample rate in hertz, > 0.
    fmin, fmax : float, optional
        In hertz, 0 ≤ fmin ≤ fmax. Default: 5 periods an epoch, and half the sample rate.

    Raises
    ------
    KernelError
        When a value is out of its range or no bin lies between fmin and fmax.
    """
    if n_times < 2:
        raise KernelError(f"an epoch of {n_times} samples; it must hold at least 2")
    if not (math.isfinite(sfreq) and sfreq > 0.0):
        raise KernelError(f"sfreq is {sfreq!r} Hz; it must be finite and above 0")
    low = LEAST_CYCLES * sfreq / n_times if fmin is None else fmin
    high = sfreq / 2.0 if fmax is None else fmax
    if not 0.0 <= low <= high:
        raise KernelError(f"fmin {low!r} Hz, fmax {high!r} Hz; they must be 0 <= fmin <= fmax")
    bins = np.fft.rfftfreq(n_times, 1.0 / sfreq)
    inside = np.flatnonzero((bins >= low) & (bins <= high))
    if not inside.shape[0]:
        raise KernelError(
            f"no frequency between {low:g} and {high:g} Hz; epochs of {n_times / sfreq:g} s have one every "
            f"{sfreq / n_times:g} Hz"
        )
    return int(inside[0]), int(inside[-1]) + 1


def fourier(
    data: NDArray[np.float64], sfreq: float, fmin: float | None = None, fmax: float | None = None
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Hann-windowed Fourier coefficients of epochs.

    Parameters
    ----------
    data : ndarray of float, shape (n_epochs, n_channels, n_times)
        Samples in any unit.
    sfreq : float
        Sample rate in hertz, > 0.
    fmin, fmax : float, optional
        Range of frequencies in hertz, both included. Default: 5 periods an epoch, and half the sample rate.

    Returns
    -------
    coefficients : ndarray of complex, shape (n_epochs, n_channels, n_freqs)
        0 for an epoch in which a channel has a gap (NaN, infinity) or does not move: the
        pairwise measures leave it out, for that channel's pairs alone.
    frequencies : ndarray of float, shape (n_freqs,)
        In hertz.

    Raises
    ------
    KernelError
        When the shape is not of three dimensions, an axis is empty, or a frequency is out of its range.
    """
    samples = np.asarray(data)
    if samples.ndim != 3 or 0 in samples.shape or np.iscomplexobj(samples):
        raise KernelError(
            f"data of shape {samples.shape}, {samples.dtype}; real (n_epochs, n_channels, n_times) needed"
        )
    samples = samples.astype(np.float64, copy=False)
    epochs, channels, times = samples.shape
    first, after = band_edges(times, sfreq, fmin, fmax)
    n_freqs = after - first
    rows = samples.reshape(epochs * channels, times)
    rows, mean = _usable(rows)
    waves = _waves(times, first, after) if n_freqs <= _FEW * math.log2(times) else None
    window: NDArray[np.float64] = np.hanning(times)
    # The frequencies lie first in memory, as the matrix products need them.
    out = np.empty((n_freqs, epochs * channels), dtype=np.complex128)
    batch = min(rows.shape[0], max(1, min(max(_BATCH[0], rows.size // 8), _BATCH[1]) // times))
    room = np.empty((batch, times))
    for start in range(0, rows.shape[0], batch):
        part = slice(start, start + batch)
        deviation = room[: rows[part].shape[0]]
        np.subtract(rows[part], mean[part, None], out=deviation)
        if waves is None:
            deviation *= window
            out[:, part] = np.fft.rfft(deviation)[:, first:after].T
        else:
            out[:, part] = (deviation @ waves).view(np.complex128).T
    frequencies = np.arange(first, after) * (sfreq / times)
    return out.reshape(n_freqs, epochs, channels).transpose(1, 2, 0), frequencies


@functools.lru_cache(maxsize=16)
def _waves(n: int, first: int, after: int) -> NDArray[np.float64]:
    """Return window·e^{−2πikt/n} of each frequency k, shape (n, 2·n_freqs): real and imaginary parts side by side."""
    # Reduced to one turn while they are whole numbers, the angles are exact to rounding.
    turns = (np.arange(n, dtype=np.int64)[:, None] * np.arange(first, after, dtype=np.int64)) % n
    waves: NDArray[np.float64] = (np.hanning(n)[:, None] * np.exp(turns * (-2j * math.pi / n))).view(np.float64)
    waves.flags.writeable = False
    return waves


def _usable(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return epochs, one a row, and their means; 0 for those with a gap and those that stand still."""
    n = rows.shape[1]
    # Any gap makes the mean NaN or infinite: no need to look at each sample.
    with np.errstate(invalid="ignore", over="ignore"):
        mean = rows @ np.full(n, 1.0 / n)
    bad = ~np.isfinite(mean)
    # Few rows begin, go on and end with one value; only those are looked at whole.
    alike = np.flatnonzero((rows[:, 0] == rows[:, n // 2]) & (rows[:, 0] == rows[:, -1]))
    if alike.shape[0]:
        bad[alike] |= (rows[alike] == rows[alike, :1]).all(axis=1)
    if bad.any():
        return np.where(bad[:, None], 0.0, rows), np.where(bad, 0.0, mean)
    return rows, mean
