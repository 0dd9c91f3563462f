"""The tail of the gamma distribution, by which sums of exponential variables are judged."""

from __future__ import annotations

import math
from typing import Final

from becomingone.errors import KernelError

_MOST_TERMS: Final = 10_000
_LARGE: Final = 500.0


def gamma_tail(shape: float, x: float) -> float:
    """Probability that a gamma variable of the given shape and scale 1 is at least x: Q(a, x) = Γ(a, x)/Γ(a).

    Parameters
    ----------
    shape : float
        a > 0.
    x : float
        ≥ 0.

    Returns
    -------
    float
        0..1, to 12 digits; above a = 500 by E. B. Wilson and M. M. Hilferty (PNAS 17, 1931), within 1 % of it down to
        1e-6.

    Raises
    ------
    KernelError
        When a value is out of its range.

    Notes
    -----
    The series of the lower part for x < a + 1, Legendre's continued fraction else (M. Abramowitz and I. A. Stegun,
    6.5.29 and 6.5.31).
    """
    if not (math.isfinite(shape) and shape > 0.0):
        raise KernelError(f"shape is {shape!r}; it must be finite and above 0")
    if not x >= 0.0:
        raise KernelError(f"x is {x!r}; it must be at least 0")
    if x == 0.0:
        return 1.0
    if math.isinf(x):
        return 0.0
    if shape > _LARGE:
        spread = 1.0 / (9.0 * shape)
        return 0.5 * math.erfc(((x / shape) ** (1.0 / 3.0) - 1.0 + spread) / math.sqrt(2.0 * spread))
    scale = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        return max(0.0, 1.0 - scale * _series(shape, x))
    return min(1.0, scale * _fraction(shape, x))


def _series(a: float, x: float) -> float:
    term = total = 1.0 / a
    for n in range(1, _MOST_TERMS):
        term *= x / (a + n)
        total += term
        if term < 1e-16 * total:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """1/(x + 1 − a − 1(1 − a)/(x + 3 − a − 2(2 − a)/(x + 5 − a − ...))), by the method of W. J. Lentz (1976)."""
    b = x + 1.0 - a
    c = 1e300
    d = 1.0 / b
    value = d
    for n in range(1, _MOST_TERMS):
        numerator = -n * (n - a)
        b += 2.0
        d = 1.0 / (numerator * d + b or 1e-300)
        c = b + numerator / c or 1e-300
        value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value
