"""The mean of a mesh that some of its nodes lie to: bounded influence, breakdown ½.

The weighted mean follows every liar as far as the weight goes. The **geometric median**, the point that the least
weighted distance leads to, does not: whoever has less than half of the weight cannot lead it far from where the others
agree. It pays for that with precision (about 0.65 of the mean's efficiency when nobody lies), most of which one
bounded step towards a biweight mean gives back.

A liar who says what everybody says cannot be found by phase, nor can a majority that lies: identities, a cap on each
node's weight (:func:`capped`) and signed transport are the defence against those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.mesh.disc_points import checked_weight, clipped, mean_of, points_of
from becomingone.kairos.mesh.geometric_median import median_of
from becomingone.kairos.sums import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

REJECTED: Final = 9.0
"""Distance in scales at which the biweight mean gives a point no weight (Mosteller and Tukey 1977)."""

STEP: Final = 1.5
"""k of the bounded step, in standard errors: the worst bias and the efficiency are traded against one another here."""

_TOLERANCE: Final = 1e-4
_FEW: Final = 2.0
_MOST_STEPS: Final = 100
_ROUGH: Final = 1e-4
_TINY: Final = 1e-30


@dataclass(frozen=True, slots=True)
class Robust:
    """A robust mean of points in the unit disc.

    Parameters
    ----------
    resonance : complex
        The robust T_global, modulus 0..1.
    median : complex
        The weighted geometric median.
    scale : float
        S, the smooth median of the distances from the median, ≥ 0.
    n_weights : float
        (Σw)²/Σw², the effective number of points; 0 without any.
    """

    resonance: complex
    median: complex
    scale: float
    n_weights: float


def capped(weight: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Lower the greatest weights until none holds more than a share of what is left.

    Parameters
    ----------
    weight : ndarray of float, shape (n,)
        ≥ 0.
    share : float
        Greatest share of the sum after capping, 0 < share ≤ 1. With too few nodes for it (fewer than 1/share with a
        weight) all weights become equal to the smallest, the nearest that can be had.

    Returns
    -------
    ndarray of float, shape (n,)
        min(w, c), with c the level that solves c = share·Σmin(w, c). Zero weights stay zero.

    Raises
    ------
    KernelError
        When a weight is negative or not finite, or the share is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise KernelError(f"share is {share!r}; it must be above 0 and at most 1")
    w, least, greatest = checked_weight(weight)
    if greatest > 1e280:
        return capped(w / greatest, share) * greatest
    if greatest <= share * float(np.add.reduce(w)):
        return w.copy()
    positive = w if least > 0.0 else w[w > 0.0]
    # At most 1/share of them can be above the level.
    most = min(positive.shape[0], math.floor(1.0 / share) + 1)
    positive = np.partition(positive, positive.shape[0] - most)
    top = np.sort(positive[-most:])[::-1].tolist()
    rest = float(positive[:-most].sum())
    for j in range(most):
        if share * j >= 1.0:
            break
        level = share * (rest + math.fsum(top[j:])) / (1.0 - share * j)
        if top[j] <= level * (1.0 + 1e-15):
            return np.minimum(w, level)
    return np.minimum(w, float(np.minimum.reduce(positive)))


def robust_mean(point: NDArray[np.complex128], weight: NDArray[np.float64], *, start: complex | None = None) -> Robust:
    """Take the robust mean T_global of the nodes' T_P = C·u.

    Parameters
    ----------
    point : ndarray of complex, shape (n,)
        T_P; moduli above 1 are clipped to 1.
    weight : ndarray of float, shape (n,)
        ≥ 0. A node with weight 0 does not count.
    start : complex, optional
        Where to look for the median first: that of the tick before, carried on, saves half of the passes. The result
        differs by some 1e-6 at most for it.

    Returns
    -------
    Robust
        Without any weight all figures are 0.

    Raises
    ------
    KernelError
        When shapes differ, a value is not finite or a weight is negative.

    Notes
    -----
    m is the median, d the distances from it, S the scale that solves Σw·d²/(d² + S²) = ½Σw (D. Geman and D. McClure
    1987), b the mean with biweight (1 − (d/9S)²)², and D = b − m. The result is m + D/(1 + n|D|²/(kS)²), n the
    effective number and k = 1.5. Of honest data D is about S/√n, and most of it is added; liars make it larger, and
    then it fades. It is never longer than kS/(2√n), so that the result has the median's breakdown and, with many
    nodes, its bias.

    Fewer than three nodes have no majority: at n ≤ 2 the result is the weighted mean, and between 2 and 3 a blend. It
    does not leap when phases move; where the weights of a few nodes tie, a small change of weight may move it from one
    of them to the next, as with any median.

    If all but a share s < ½ of the weight lies within r of any point c, the result does within
    :func:`influence_bound` of it, whatever the rest says (n ≥ 3).
    """
    points, w = points_of(point, weight)
    if not w.shape[0]:
        return Robust(0j, 0j, 0.0, 0.0)
    n = max(1.0, 1.0 / dot(w, w))
    median = median_of(points, w, _TOLERANCE, start)
    if n <= _FEW:
        return Robust(clipped(mean_of(points, w)), median, 0.0, n)
    points -= np.array([[median.real], [median.imag]])
    square = points[0] * points[0]
    square += points[1] * points[1]
    scale = _scale(square, w)
    result = median + _step(points, square, w, scale, n)
    if n < _FEW + 1.0:
        # The points count from the median now, and so does their mean.
        result += (_FEW + 1.0 - n) * (median + mean_of(points, w) - result)
    return Robust(clipped(result), median, scale, n)


def influence_bound(share: float, radius: float, n_weights: float = math.inf) -> float:
    """Return how far from c the result of :func:`robust_mean` can be when all but a share of the weight is near c.

    Parameters
    ----------
    share : float
        s, the weight's share of those who may say anything, 0 ≤ s < ½.
    radius : float
        r: everybody else is within r of c, ≥ 0.
    n_weights : float
        Effective number of all points, ≥ 3; infinite for the median alone.

    Returns
    -------
    float
        B + k(B + r)/(2√(n(1 − 2s))), B = r(1 − s)/√(1 − 2s): the median is within B of c (S. Minsker, Bernoulli 21,
        2015, lemma 2.1), S at most (B + r)/√(1 − 2s) because the rest adds at most s to the ½ that defines it.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    if not 0.0 <= share < 0.5:
        raise KernelError(f"share is {share!r}; it must be at least 0 and below 1/2")
    if not (math.isfinite(radius) and radius >= 0.0):
        raise KernelError(f"radius is {radius!r}; it must be finite and at least 0")
    if not n_weights >= _FEW + 1.0:
        raise KernelError(f"n_weights is {n_weights!r}; it must be at least 3")
    root = math.sqrt(1.0 - 2.0 * share)
    bound = radius * (1.0 - share) / root
    return bound + STEP * (bound + radius) / (2.0 * math.sqrt(n_weights) * root)


def _step(
    points: NDArray[np.float64], square: NDArray[np.float64], w: NDArray[np.float64], scale: float, n: float
) -> complex:
    """D/(1 + n|D|²/(kS)²) from the coordinates relative to the median; overwrites ``square``."""
    if not scale > 0.0:
        return 0j
    square *= -1.0 / (REJECTED * scale) ** 2
    square += 1.0
    np.maximum(square, 0.0, out=square)
    square *= square
    square *= w
    total = float(np.add.reduce(square))
    if not total > 0.0:
        return 0j
    towards = mean_of(points, square) / total
    return towards / (1.0 + n * (abs(towards) / (STEP * scale)) ** 2)


def _scale(square: NDArray[np.float64], w: NDArray[np.float64]) -> float:
    """S with Σw·d²/(d² + S²) = ½, by Newton's method in ln S² on the decreasing function; 0 for half at one point."""
    # Of normal data it is 0.61 of the mean square.
    s2 = 0.61 * dot(w, square)
    if not s2 > _TINY:
        return 0.0
    low, high = _TINY, math.inf
    scratch = np.empty_like(square)
    for _ in range(_MOST_STEPS):
        np.add(square, s2, out=scratch)
        np.divide(square, scratch, out=scratch)
        excess = dot(w, scratch) - 0.5
        if abs(excess) <= _ROUGH:
            return math.sqrt(s2)
        slope = excess + 0.5 - dot(w, np.square(scratch, out=scratch))
        low, high = (s2, high) if excess > 0.0 else (low, s2)
        # Where the function is flat Newton's step would leave the interval that is known to hold the zero.
        move = excess / slope if slope > 0.0 else math.copysign(3.0, excess)
        s2 *= math.exp(max(-3.0, min(3.0, move)))
        if not low < s2 < high:
            s2 = math.sqrt(low * high)
        if s2 <= 2.0 * _TINY:
            return 0.0
    return math.sqrt(s2)
