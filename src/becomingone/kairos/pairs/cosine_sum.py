"""How often a sum of cosines of unrelated phases is as great: the exact law behind a correlation of spectra.

The correlation of two series is Σ a_f·cos θ_f over their frequencies, where a_f is given by their spectra and θ_f is
the difference of their phases there. Of unrelated stationary series the θ_f are independent and uniform, whatever the
spectra: that is what makes phase-randomised surrogates (J. Theiler et al., Physica D 58, 1992). Here their limit of
infinitely many is taken at once, so that a p far below 1/surrogates can be told.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEAR: Final = 3.75

# M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 9.8.1 to 9.8.4, to 2e-7; highest power first.
_I0_NEAR: Final = (0.0045813, 0.0360768, 0.2659732, 1.2067492, 3.0899424, 3.5156229, 1.0)
_I0_FAR: Final = (
    0.00392377,
    -0.01647633,
    0.02635537,
    -0.02057706,
    0.00916281,
    -0.00157565,
    0.00225319,
    0.01328592,
    0.39894228,
)
_I1_NEAR: Final = (0.00032411, 0.00301532, 0.02658733, 0.15084934, 0.51498869, 0.87890594, 0.5)
_I1_FAR: Final = (
    -0.00420059,
    0.01787654,
    -0.02895312,
    0.02282967,
    -0.01031555,
    0.00163801,
    -0.00362018,
    -0.03988024,
    0.39894228,
)
_STEPS: Final = 80
_EXACT: Final = 1e-9
_CLOSE: Final = 0.02
_MOST: Final = 1.0 - 1e-9


def cosine_tail(amplitude: NDArray[np.float64], value: float) -> float:
    """Probability that Σ a·cos θ is at least a value, the θ independent and uniform.

    Parameters
    ----------
    amplitude : ndarray of float, shape (m,), m ≥ 1
        a ≥ 0; at least one above 0.
    value : float
        −Σa..Σa.

    Returns
    -------
    float
        0..1; within 15 % of the truth for 3 or more comparable amplitudes, down to 1e-6, and too great rather than too
        small for fewer (measured).

    Raises
    ------
    KernelError
        When no amplitude is above 0, one is not finite, or the value is not.

    Notes
    -----
    The saddle point of R. Lugannani and S. Rice, Adv. Appl. Prob. 12, 1980; the cumulant function is Σ log I₀(s·a).
    Near the greatest sum that there can be it is replaced by E. Chernoff's bound where that is smaller, which is never.
    """
    a = amplitude[amplitude > 0.0]
    if not a.shape[0] or not (np.isfinite(a).all() and math.isfinite(value)):
        raise KernelError("cosine_tail needs finite amplitudes, one of them above 0, and a finite value")
    if value < 0.0:
        return 1.0 - cosine_tail(a, -value)
    total = float(a.sum())
    value = min(value, _MOST * total)
    s = _saddle_point(a, value)
    logs, ratio = _bessel(a * s)
    exponent = s * value - float(logs.sum())
    curvature = float((a * a * (1.0 - ratio / np.maximum(a * s, 1e-12) - ratio * ratio)).sum())
    w = math.sqrt(max(0.0, 2.0 * exponent))
    v = s * math.sqrt(max(curvature, 0.0))
    if w < _CLOSE:  # at the middle: the normal law, which is symmetric as this one is
        return 0.5 * math.erfc(value / math.sqrt(float((a * a).sum())))
    density = math.exp(-exponent) / math.sqrt(2.0 * math.pi)
    tail = 0.5 * math.erfc(w / math.sqrt(2.0)) + density * (1.0 / max(v, 1e-300) - 1.0 / w)
    return min(1.0, max(0.0, min(tail, math.exp(-exponent))))


def _saddle_point(a: NDArray[np.float64], value: float) -> float:
    """Return s with Σ a·I₁(sa)/I₀(sa) = value; the sum is concave in s, so Newton's steps rise towards it."""
    s = 2.0 * value / float((a * a).sum())
    for _ in range(_STEPS):
        ratio = _bessel(a * s)[1]
        missing = value - float((a * ratio).sum())
        slope = float((a * a * (1.0 - ratio / np.maximum(a * s, 1e-12) - ratio * ratio)).sum())
        if not (missing > _EXACT * value and slope > 0.0):
            break
        s += missing / slope
    return s


def _bessel(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log I₀(x) and I₁(x)/I₀(x), x ≥ 0."""
    logs, ratio = np.empty_like(x), np.empty_like(x)
    near = x <= _NEAR
    some = x[near]
    if some.shape[0]:
        square = np.square(some / _NEAR)
        i0 = _polynomial(_I0_NEAR, square)
        logs[near] = np.log(i0)
        ratio[near] = some * _polynomial(_I1_NEAR, square) / i0
    if some.shape[0] < x.shape[0]:
        far = x[~near]
        inverse = _NEAR / far
        i0 = _polynomial(_I0_FAR, inverse)
        logs[~near] = far - 0.5 * np.log(far) + np.log(i0)
        ratio[~near] = _polynomial(_I1_FAR, inverse) / i0
    return logs, ratio


def _polynomial(coefficients: tuple[float, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        out *= x
        out += c
    return out
