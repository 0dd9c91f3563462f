"""The weighted geometric median of points in the unit disc: the point that the least weighted distance leads to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.mesh.disc_points import clipped, mean_of, points_of
from becomingone.kairos.sums import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE: Final = 1e-9
"""Length of the step at which the median is taken as found. Steps shrink quadratically: the error is far below."""

_MOST_STEPS: Final = 200
_PATIENT: Final = 20
_SHORT: Final = 1e-3
_LEAST_STEP: Final = 1e-13
_SAMPLE: Final = 1024
_BLOCK: Final = 8192
_SAME: Final = 1.0 + 1e-6
_ROUGH: Final = 1e-4
_COINCIDENT: Final = 1e-14
_ON_A_LINE: Final = 1e-12


def geometric_median(
    point: NDArray[np.complex128], weight: NDArray[np.float64], *, tolerance: float = TOLERANCE
) -> complex:
    """Return the weighted geometric median: the m that makes Σw|T − m| least.

    Parameters
    ----------
    point : ndarray of complex, shape (n,)
        Points of the unit disc; moduli above 1 are clipped to 1.
    weight : ndarray of float, shape (n,)
        ≥ 0, with a sum above 0. A point of weight 0 does not count.
    tolerance : float
        Length of the step at which to stop, > 0.

    Returns
    -------
    complex
        Exactly a data point where that is the minimum (w_k ≥ the pull of the others). Where a whole segment is (points
        on one line, their weight halved exactly), its point nearest to the weighted mean: of two equals the midpoint.

    Raises
    ------
    KernelError
        When shapes differ, a value is not finite, a weight is negative or they sum to 0.

    Notes
    -----
    Newton's method on the convex sum of distances; where no Newton step brings the sum down, the step of E. Weiszfeld
    (1937) in the form of Y. Vardi and C.-H. Zhang (PNAS 97, 2000), which passes through data points too. Each step is
    O(n); 4 to 20 are usual. Breakdown ½: see :func:`becomingone.kairos.mesh.robust.influence_bound`.
    """
    if not (math.isfinite(tolerance) and tolerance > 0.0):
        raise KernelError(f"tolerance is {tolerance!r}; it must be above 0")
    points, w = points_of(point, weight)
    if not w.shape[0]:
        raise KernelError("the weights sum to 0; there is no median")
    return clipped(median_of(points, w, tolerance))


def median_of(
    points: NDArray[np.float64], w: NDArray[np.float64], tolerance: float = TOLERANCE, start: complex | None = None
) -> complex:
    """Return the geometric median of at least one point, given what :func:`points_of` returns, looking from a start."""
    if start is not None:
        return _Descent(points, w).run(start, tolerance)
    start = mean_of(points, w)
    if w.shape[0] > 4 * _SAMPLE:
        # Every so-manieth point gives a start that saves half of the passes over all of them.
        stride = w.shape[0] // _SAMPLE
        part = w[::stride]
        start = median_of(points[:, ::stride].copy(), part / float(np.add.reduce(part)), _ROUGH)
    return _Descent(points, w).run(start, tolerance)


def _along(points: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Coordinates along a line, from the mean, of points that lie on one; None of points that do not."""
    mean = mean_of(points, w)
    dx, dy = points[0] - mean.real, points[1] - mean.imag
    xx, yy, xy = dot(w, dx * dx), dot(w, dy * dy), dot(w, dx * dy)
    if xx * yy - xy * xy > 1e-16 * (xx + yy) ** 2:
        return None
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    c, s = math.cos(angle), math.sin(angle)
    return dx * c + dy * s if float(np.abs(dy * c - dx * s).max()) <= _ON_A_LINE else None


def _median_on_a_line(points: NDArray[np.float64], w: NDArray[np.float64], along: NDArray[np.float64]) -> complex:
    """Of the points that halve the weight the one nearest to the mean, from which ``along`` counts."""
    order = np.argsort(along, kind="stable")
    sums = np.cumsum(w[order])
    half = 0.5 * float(sums[-1])
    last = along.shape[0] - 1
    low = int(order[min(last, int(np.searchsorted(sums, half * (1.0 - 1e-12))))])
    high = int(order[min(last, int(np.searchsorted(sums, half * (1.0 + 1e-12), side="right")))])
    if along[low] < 0.0 < along[high]:
        return mean_of(points, w)
    k = low if along[low] >= 0.0 else high
    return complex(points[0, k], points[1, k])


class _Here(NamedTuple):
    """What descent needs to know of a place.

    The sum of distances, Σw/d, the pull Σw·e and the moments Σw·e·eᵀ/d of the directions e, and the nearest point's
    number and distance.
    """

    value: float
    total: float
    px: float
    py: float
    xx: float
    xy: float
    nearest: int
    reach: float

    def steps(self) -> list[complex]:
        """Give the steps to try, in turn: Newton's, shorter ones, Weiszfeld's."""
        weiszfeld = complex(self.px, self.py) / self.total
        yy = self.total - self.xx
        determinant = self.xx * yy - self.xy * self.xy
        if determinant <= 1e-14 * self.total * self.total:
            return [weiszfeld]
        newton = complex(self.xx * self.px + self.xy * self.py, self.xy * self.px + yy * self.py) / determinant
        return [newton, 0.3 * newton, 0.09 * newton, weiszfeld] if abs(newton) <= 1.0 else [weiszfeld]


class _Descent:
    """Descent of the sum of distances, in blocks that stay in the processor's cache and in one thread of BLAS."""

    def __init__(self, points: NDArray[np.float64], w: NDArray[np.float64]) -> None:
        self._points, self._w = points, w
        self._blocks = [
            (points[0, start : start + _BLOCK], points[1, start : start + _BLOCK], w[start : start + _BLOCK])
            for start in range(0, w.shape[0], _BLOCK)
        ]
        self._tried: set[int] = set()
        self._looked = False

    def run(self, at: complex, tolerance: float) -> complex:
        here = self._look(at)
        for number in range(_MOST_STEPS):
            if here.reach <= _COINCIDENT:
                at = self._point(here.nearest)
                pull, held, total = self._others(at, _COINCIDENT)
                if abs(pull) <= held:
                    return at
                # Vardi and Zhang: leave the point by the pull less what holds it, at Weiszfeld's length.
                steps = [(1.0 - held / abs(pull)) * pull / total]
            else:
                steps = here.steps()
                end = self._end(at, here, steps, tolerance, patient=number > _PATIENT)
                if end is not None:
                    return end
            before, start = here.value, at
            for step in steps:
                at = start + step
                here = self._look(at)
                if here.value <= before * (1.0 + 1e-15):
                    break
            if abs(at - start) <= _LEAST_STEP:
                break
        return at

    def _end(
        self, at: complex, here: _Here, steps: list[complex], tolerance: float, *, patient: bool
    ) -> complex | None:
        """Give the minimum where it can be told from here."""
        length = abs(steps[0])
        # Quadratic convergence needs a step that is short against the distances around.
        if len(steps) > 1 and length <= min(tolerance, _SHORT / here.total):
            return at + steps[0]
        if len(steps) == 1 and not self._looked:
            # Without curvature there is no Newton step: are they all on one line?
            self._looked = True
            along = _along(self._points, self._w)
            if along is not None:
                return _median_on_a_line(self._points, self._w, along)
        if (patient or here.reach <= 2.0 * length) and self._is_minimum(at, here):
            return self._point(here.nearest)
        return None

    def _is_minimum(self, at: complex, here: _Here) -> bool:
        """Whether the nearest data point is the minimum: the sum is a cone there, on which smooth steps only creep."""
        k = here.nearest
        if k in self._tried:
            return False
        # Its own weight is at most the pull's difference from what others pull: mostly that settles it at once.
        x = self._points[0]
        if math.hypot(here.px, here.py) > 2.1 * float(self._w[k]) and np.count_nonzero(x == x[k]) == 1:
            return False
        pull, held, _ = self._others(at, here.reach * _SAME)
        if abs(pull) > 1.1 * held:
            return False
        self._tried.add(k)
        pull, held, _ = self._others(self._point(k), _COINCIDENT)
        return abs(pull) <= held

    def _point(self, k: int) -> complex:
        return complex(self._points[0, k], self._points[1, k])

    def _others(self, at: complex, within: float) -> tuple[complex, float, float]:
        """Pull of the points farther than a distance, weight of those that are not, and Σw/d of the former."""
        dx, dy = self._points[0] - at.real, self._points[1] - at.imag
        d = np.sqrt(dx * dx + dy * dy)
        near = d <= within
        d[near] = math.inf
        q = self._w / d
        return complex(dot(q, dx), dot(q, dy)), float(self._w[near].sum()), float(np.add.reduce(q))

    def _look(self, at: complex) -> _Here:
        parts = [_look_at(x, y, w, at) for x, y, w in self._blocks]
        if len(parts) == 1:
            return parts[0]
        first = min(range(len(parts)), key=lambda k: parts[k].reach)
        value, total, px, py, xx, xy = (math.fsum(part[k] for part in parts) for k in range(6))
        return _Here(value, total, px, py, xx, xy, first * _BLOCK + parts[first].nearest, parts[first].reach)


def _look_at(x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], at: complex) -> _Here:
    """Look at a place from the points of one block."""
    dx = x - at.real
    dy = y - at.imag
    square = dy * dy
    square += dx * dx
    d = np.sqrt(square)
    value = float(w @ d)
    nearest = int(d.argmin())
    reach = float(d[nearest])
    if reach <= _COINCIDENT:
        return _Here(value, 0.0, 0.0, 0.0, 0.0, 0.0, nearest, reach)
    np.divide(w, d, out=d)
    total, px, py = float(np.add.reduce(d)), float(d @ dx), float(d @ dy)
    d /= square
    d *= dx
    return _Here(value, total, px, py, float(d @ dx), float(d @ dy), nearest, reach)
