"""What every memory asks of the phasors it is given: checks in one place, before any state changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TIME_US: Final = 2**60
"""Times lie within ± this, 36,500 years, so that differences and block edges cannot overflow."""

_ROUNDING: Final = 1e-9
_LEAST_WEIGHT: Final = 1e-100
_GREATEST_WEIGHT: Final = 1e100


def checked(
    time_us: NDArray[np.int64],
    phasor: NDArray[np.complex128],
    weight: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.complex128], NDArray[np.float64]]:
    """Return those insertions that have a phase and a weight, or refuse all of them.

    Parameters
    ----------
    time_us : ndarray of int, shape (n,)
        Microseconds, |t| ≤ 2^60.
    phasor : ndarray of complex, shape (n,)
        In the unit disc; a modulus that is above 1 by rounding (1e-9) is brought back to 1; 0 is left out.
    weight : ndarray of float, shape (n,), or None
        0 (left out), or 1e-100..1e100, whose squares and sums neither vanish nor overflow; None is 1 for all.

    Raises
    ------
    KernelError
        When the shapes differ or a value is out of its range.
    """
    times = np.asarray(time_us)
    u = np.asarray(phasor, dtype=np.complex128)
    w = np.ones(u.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if not times.shape == u.shape == w.shape or u.ndim != 1:
        raise KernelError(f"shapes {times.shape}, {u.shape}, {w.shape} of times, phasors and weights; all must be (n,)")
    if not times.shape[0]:
        return times.astype(np.int64), u, w
    if times.dtype.kind not in "iu":
        raise KernelError(f"times of type {times.dtype}; they must be whole microseconds")
    if int(times.max()) > MAX_TIME_US or int(times.min()) < -MAX_TIME_US:
        raise KernelError("a time is more than 2^60 µs from 0")
    modulus = np.abs(u)
    if not (modulus <= 1.0 + _ROUNDING).all():
        raise KernelError("a phasor is not finite or outside the unit disc")
    if not ((w == 0.0) | ((w >= _LEAST_WEIGHT) & (w <= _GREATEST_WEIGHT))).all():
        raise KernelError(f"a weight is neither 0 nor within {_LEAST_WEIGHT:g}..{_GREATEST_WEIGHT:g}")
    u = u / np.maximum(modulus, 1.0)
    counted = (w > 0.0) & (modulus > 0.0)
    if counted.all():
        return times.astype(np.int64), u, w
    return times[counted].astype(np.int64), u[counted], w[counted]


def turned_back(
    phasor: NDArray[np.complex128], time_us: NDArray[np.int64], frequency_hz: float
) -> NDArray[np.complex128]:
    """Turn phases back by a carrier, u·e^{−2πift}, so that a steady rhythm at f stands still.

    Parameters
    ----------
    phasor : ndarray of complex, shape (n,)
        Phases as a channel gives them; 0 stays 0.
    time_us : ndarray of int, shape (n,)
        Their times in microseconds, on the clock all of a memory's insertions share.
    frequency_hz : float
        f, finite: the band's centre frequency, the same for as long as the memory lasts. A rhythm δ off it turns
        once in 1/δ, and is forgotten by every scale longer than that.

    Raises
    ------
    KernelError
        When the shapes differ or the frequency is not finite.
    """
    if not math.isfinite(frequency_hz):
        raise KernelError(f"frequency_hz is {frequency_hz!r}; it must be finite")
    times = np.asarray(time_us)
    if phasor.shape != times.shape:
        raise KernelError(f"shapes {phasor.shape} and {times.shape} of phasors and times; they must be the same")
    # Whole seconds and the rest apart: the product of an epoch time and a high frequency would lose the phase.
    seconds, rest = np.divmod(times, 1_000_000)
    cycles = np.mod(seconds * math.fmod(frequency_hz, 1.0), 1.0) + rest * (frequency_hz * 1e-6)
    turned: NDArray[np.complex128] = phasor * np.exp(-2j * math.pi * cycles)
    return turned
