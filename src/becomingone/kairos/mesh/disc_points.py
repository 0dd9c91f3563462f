"""Points of the unit disc and their weights: what may be handed in, and in what form it is worked on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.sums import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDED: Final = 1.0 + 1e-12


def checked_weight(weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Return the weights as floats of shape (n,), the least and the greatest; 0 and 0 of none.

    Raises
    ------
    KernelError
        When the shape is another, or a weight is negative or not finite.
    """
    w = np.asarray(weight, dtype=np.float64)
    if w.ndim != 1:
        raise KernelError(f"weights have shape {w.shape}; it must be (n,)")
    if not w.shape[0]:
        return w, 0.0, 0.0
    least, greatest = float(np.minimum.reduce(w)), float(np.maximum.reduce(w))
    # A NaN makes both false.
    if not (least >= 0.0 and greatest < math.inf):
        raise KernelError("a weight is negative or not finite")
    return w, least, greatest


def normalised(w: NDArray[np.float64], greatest: float) -> NDArray[np.float64]:
    """Return w/Σw of weights of which the greatest, above 0, is given; their sum may overflow or be subnormal."""
    if not 1e-280 < greatest < 1e280:
        w = w / greatest
    return w / float(np.add.reduce(w))


def points_of(
    point: NDArray[np.complex128], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coordinates within the disc, shape (2, n), and normalised weights of the points that count."""
    w, least, greatest = checked_weight(weight)
    t = np.asarray(point, dtype=np.complex128)
    if t.shape != w.shape:
        raise KernelError(f"{t.shape} points and {w.shape} weights; they must be as many")
    if not w.shape[0]:
        return np.zeros((2, 0)), w
    modulus = np.abs(t)
    longest = float(np.maximum.reduce(modulus))
    if not longest < math.inf:
        raise KernelError("a point is not finite")
    points = np.empty((2, w.shape[0]))
    points[0] = t.real
    points[1] = t.imag
    if longest > _ROUNDED:
        points /= np.maximum(modulus, 1.0)
    if not greatest > 0.0:
        return points[:, :0], w[:0]
    if not least > 0.0:
        counted = w > 0.0
        points, w = points[:, counted], w[counted]
    return points, normalised(w, greatest)


def clipped(z: complex) -> complex:
    """Return z, or z/|z| beyond the disc, which rounding may leave by one unit in the last place."""
    modulus = abs(z)
    return z / modulus if modulus > 1.0 else z


def mean_of(points: NDArray[np.float64], w: NDArray[np.float64]) -> complex:
    """Return Σw·T, the mean where the weights are those that :func:`points_of` returns."""
    return complex(dot(points[0], w), dot(points[1], w))
