"""How often unrelated phases of unequal weights agree as well as this.

With n replaced by the effective number (Σw)²/Σw², :func:`becomingone.kairos.rayleigh.rayleigh_p` is always cautious
but, for few phases, far from the truth: two phases of weights 1 and 5 pass p = 0.05 once in 20 times, and it says 0.63.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.bessel import j0, j1
from becomingone.kairos.mesh.disc_points import checked_weight
from becomingone.kairos.rayleigh import rayleigh_p
from becomingone.kairos.sums import dot

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MANY: Final = 0.02
"""Σw⁴/(Σw²)² up to which the sum is close enough to normal for the approximation of :func:`rayleigh_p`."""

SOME: Final = 0.05
"""The same for p of a thousandth and more."""

CERTAIN: Final = 1e-6
"""Where even the effective number, which is cautious, gives less than this, it will do."""

_ROUNDING: Final = 1e-9
_EQUAL: Final = 1e-6
_NEGLIGIBLE: Final = 1e-3
_SINGLY: Final = 48
_GRID: Final = 512
_PAIRS: Final = 64
_MOST_TERMS: Final = 1500
_SMALLEST: Final = 1e-5


def rayleigh_p_weighted(r: float, weight: NDArray[np.float64]) -> float:
    """Probability that independent uniform phases have a weighted mean resultant length of at least r.

    Parameters
    ----------
    r : float
        |Σw·e^{iφ}|/Σw, 0..1 (rounding beyond 1 is tolerated).
    weight : ndarray of float, shape (n,)
        ≥ 0, with a sum above 0. A phase of weight 0 does not count.

    Returns
    -------
    float
        0..1. One phase: 1. Two: arccos((ρ² − w₁² − w₂²)/(2w₁w₂))/π with ρ = r·Σw. Up to 4 by quadrature, more by
        Kluyver's integral, both to about 1e-3; very many by :func:`rayleigh_p` with n = (Σw²)²/Σw⁴ at the same
        ρ²/Σw², and where p is below 1e-6 with (Σw)²/Σw², which is then cautious. Weights below a thousandth of the
        greatest are taken as aligned, which errs towards a greater p.

    Raises
    ------
    KernelError
        When r is outside 0..1, or a weight is negative or not finite, or they sum to 0.

    Notes
    -----
    P(|Σ| ≤ ρ) = Σ_k 2ρ·J₁(j_k·ρ/W)·Π J₀(w_i·j_k/W) / (W·j_k·J₁(j_k)²), W = Σw and j_k the zeros of J₀: the
    Fourier-Bessel series of Kluyver's integral on the disc that the resultant cannot leave. All but the 48 greatest
    weights are taken together by ln J₀(x) = −x²/4 − x⁴/64 ...
    """
    if not -_ROUNDING <= r <= 1.0 + _ROUNDING:
        raise KernelError(f"rayleigh_p_weighted of r = {r!r}; it must be within 0..1")
    r = min(1.0, max(0.0, float(r)))
    w, _, greatest = checked_weight(weight)
    if not greatest > 0.0:
        raise KernelError("the weights sum to 0; there is no resultant")
    w = w / greatest
    square = w * w
    second, fourth = float(np.add.reduce(square)), dot(square, square)
    total = float(np.add.reduce(w))
    cautious = rayleigh_p(r, max(1.0, total * total / second))
    if cautious < CERTAIN:
        return cautious
    if fourth <= SOME * second * second:
        n = second * second / fourth
        p = rayleigh_p(min(1.0, r * total / math.sqrt(second * n)), n)
        if p >= 1e-3 or fourth <= MANY * second * second:
            return p
    counted = w[w >= _NEGLIGIBLE]
    rho = r * total - float(w[w < _NEGLIGIBLE].sum())
    total = float(np.add.reduce(counted))
    if rho <= 0.0:
        return 1.0
    if 1.0 - float(np.minimum.reduce(counted)) <= _EQUAL:
        return rayleigh_p(min(1.0, rho / total), counted.shape[0])
    if rho >= total:
        return 0.0
    return _p_of_few(rho, counted) if counted.shape[0] <= 4 else _p_by_series(rho, np.sort(counted)[::-1])


def _p_of_few(rho: float, w: NDArray[np.float64]) -> float:
    """Tail for 2 to 4 phases: the resultant of the first ones, and the angle to that of the others."""
    turns = (np.arange(_GRID) + 0.5) * (math.pi / _GRID)
    if w.shape[0] == 2:
        return _p_of_two(rho, w[:1], w[1:])
    if w.shape[0] == 3:
        return _p_of_two(rho, np.abs(w[0] + w[1] * np.exp(1j * turns)), w[2:])
    turns = (np.arange(_PAIRS) + 0.5) * (math.pi / _PAIRS)
    first = np.abs(w[0] + w[1] * np.exp(1j * turns))
    return _p_of_two(rho, first[:, None], np.abs(w[2] + w[3] * np.exp(1j * turns)))


def _p_of_two(rho: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean over lengths a and b of the probability that the two at a uniform angle are longer than ρ together."""
    cosine = (rho * rho - a * a - b * b) / np.maximum(2.0 * a * b, 1e-300)
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)).mean()) / math.pi


def _p_by_series(rho: float, w: NDArray[np.float64]) -> float:
    """Tail by the Fourier-Bessel series; ``w`` falls, and its first is 1."""
    total = float(np.add.reduce(w))
    last = _MOST_TERMS * math.pi / total
    # Where |J₀(x)| ≤ √(2/πx) makes the product small the series may end.
    t = np.geomspace(1.0, last, 64)
    bound = _product(t, w, lambda x: np.minimum(1.0, np.sqrt(2.0 / (math.pi * np.maximum(x, 1e-9))))) / np.sqrt(t)
    small = np.flatnonzero(bound < _SMALLEST)
    reach = float(t[small[0]]) if small.shape[0] else last
    k = np.arange(1, math.ceil(reach * total / math.pi) + 2)
    beta = (k - 0.25) * math.pi
    zeros = beta + 1.0 / (8.0 * beta) - 124.0 / (3.0 * (8.0 * beta) ** 3)
    zeros += j0(zeros) / j1(zeros)
    t = zeros / total
    terms = _product(t, w, j0) * j1(rho * t) / (zeros * np.square(j1(zeros)))
    if not small.shape[0]:
        # Cut short the series would ring: a blur of a thousandth of W instead.
        terms *= np.exp(-4.0 * np.square(t / last))
    return min(1.0, max(0.0, 1.0 - 2.0 * rho / total * float(np.add.reduce(terms))))


def _product(
    t: NDArray[np.float64], w: NDArray[np.float64], factor: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Π factor(w_i·t) over the greatest weights, times exp(Σ ln J₀(w_i·t)) over the others by its series."""
    singly, rest = w[:_SINGLY], w[_SINGLY:]
    product: NDArray[np.float64] = factor(np.multiply.outer(singly, t)).prod(axis=0)
    if rest.shape[0]:
        square = rest * rest
        second, fourth = float(np.add.reduce(square)), dot(square, square)
        x2 = t * t
        product *= np.exp(-x2 * (second / 4.0 + x2 * fourth / 64.0))
    return product
