"""How likely unrelated phases are as alike as this, far into the tail.

Who looks for the best of a million past moments asks for probabilities of 1e-8; the tables behind
:func:`becomingone.kairos.rayleigh.rayleigh_p` are right to 1e-4. The saddlepoint approximation has a small *relative*
error at any p and takes unequal weights as they are: with K(κ) = Σ ln I₀(κq) and K′(κ) = x,

    P(|Σq·e^{iθ}| ≥ x) ≈ √(x/(κ·K″))·e^{K − κx}

(H. E. Daniels, Ann. Math. Statist. 25, 1954, for the density, integrated outwards over the plane); for one direction,
P(Σq·cos θ ≥ x), the formula of R. Lugannani and S. Rice, Adv. Appl. Prob. 12, 1980.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS: Final = 64
_REACH: Final = 12.0
_HALVINGS: Final = 40
_MOST_STEPS: Final = 80
_CLOSE: Final = 1e-7  # of ln κ: the exponent is stationary at κ, and so right to its square
_NEAREST: Final = 1e-12  # a resultant closer than this to the sum of all weights is not told from it
_SMALL: Final = 1e-3


def chance_pattern(weight: NDArray[np.float64], resultant: float) -> float:
    """Probability that independent uniform phases have a resultant of at least this length.

    Parameters
    ----------
    weight : ndarray of float, shape (n,)
        q ≥ 0, finite, with a sum above 0.
    resultant : float
        x, 0..Σq; the modulus of Σq·e^{iθ}.

    Returns
    -------
    float
        0..1. One phase: 1. Two: exact. More: within 10 % of itself for p ≤ 0.1 and 25 % above, whatever the weights
        (7 % and 3 % when (Σq)²/Σq² ≥ 6). Exactly alike is given the p of alike to 1e-12.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    q = _weights(weight)
    total = float(q.sum())
    x = _within(resultant, 0.0, total)
    if q.shape[0] == 1 or x <= 1e-6 * total:
        return 1.0
    if q.shape[0] == 2:
        cosine = (x * x - float(q @ q)) / (2.0 * float(q.prod()))
        return math.acos(min(1.0, max(-1.0, cosine))) / math.pi
    kappa, exponent, curvature = _saddle(q, total - x)
    return min(1.0, math.sqrt(x / (kappa * curvature)) * math.exp(exponent))


def chance_absolute(weight: NDArray[np.float64], projection: float) -> float:
    """Probability that independent uniform phases have a sum of at least this real part.

    Parameters
    ----------
    weight : ndarray of float, shape (n,)
        q ≥ 0, finite, with a sum above 0.
    projection : float
        x, −Σq..Σq; the real part of Σq·e^{iθ}.

    Returns
    -------
    float
        0..1. One phase: exact. More: for x > 0 within 20 % of itself, whatever the weights (5 % when
        (Σq)²/Σq² ≥ 6).

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    q = _weights(weight)
    total = float(q.sum())
    x = _within(projection, -total, total)
    if x < 0.0:
        return 1.0 - chance_absolute(q, -x)
    if q.shape[0] == 1:
        return math.acos(x / total) / math.pi
    deviation = math.sqrt(float(q @ q))
    if x <= _SMALL * deviation:
        return 0.5 * math.erfc(x / deviation)
    kappa, exponent, curvature = _saddle(q, total - x)
    w = math.sqrt(-2.0 * exponent)
    v = kappa * math.sqrt(curvature)
    density = math.exp(exponent) / math.sqrt(2.0 * math.pi)
    return min(1.0, max(0.0, 0.5 * math.erfc(w / math.sqrt(2.0)) + density * (1.0 / v - 1.0 / w)))


def critical_similarity(p: float, channels: int) -> float:
    """Return the similarity of patterns that unrelated phases reach with probability p.

    Parameters
    ----------
    p : float
        0 < p < 1; divide by the number of moments searched.
    channels : int
        n ≥ 2 equal channels.

    Returns
    -------
    float
        0..1, the mean resultant length at which ``chance_pattern`` is p. A recollection through phase noise of
        deviation σ has about e^{−σ²/2}, and drowns when that is less.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    if not 0.0 < p < 1.0:
        raise KernelError(f"p is {p!r}; it must be above 0 and below 1")
    if channels < 2:
        raise KernelError(f"{channels} channels; one alone is like any other")
    q = np.ones(channels)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if chance_pattern(q, middle * channels) > p else (low, middle)
    return 0.5 * (low + high)


def _weights(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights that count."""
    q = np.asarray(weight, dtype=np.float64)
    if q.ndim != 1 or not ((q >= 0.0) & (q <= 1e100)).all() or not (q > 0.0).any():
        raise KernelError("weights must be of shape (n,), finite and not negative, and their sum above 0")
    return q[q > 1e-12 * float(q.max())]


def _within(value: float, low: float, high: float) -> float:
    """Return the value, brought into its range if rounding took it out."""
    slack = 1e-9 * high
    if not low - slack <= value <= high + slack:
        raise KernelError(f"a resultant of {value!r}; it must be within {low:g}..{high:g}")
    return min(high, max(low, value))


def _saddle(q: NDArray[np.float64], gap: float) -> tuple[float, float, float]:
    """Return κ with Σq − K′(κ) = gap, K(κ) − κx and K″(κ), by 1 − cos θ so that nothing cancels near the edge."""
    total = float(q.sum())
    gap = max(gap, _NEAREST * total)
    low, high = math.log(1e-8 / total), math.log(1e14 / float(q.min()))
    square = q * q
    # The inverse of I₁/I₀ is near r(2 − r²)/(1 − r²); from there on Newton's rule in logarithms, kept in the bracket.
    r = 1.0 - gap / total
    guess = math.log(max(r, _SMALL) * (2.0 - r * r) * total / float(square.sum()) / (1.0 - r * r))
    for _ in range(_MOST_STEPS):
        place = guess if low < guess < high else 0.5 * (low + high)
        kappa = math.exp(place)
        _, mean, variance = _moments(kappa * q)
        lack = float(q @ mean)
        low, high = (place, high) if lack > gap else (low, place)
        guess = place + math.log(lack / gap) * lack / max(kappa * float(square @ variance), 1e-300)
        if abs(guess - place) <= _CLOSE:
            break
    kappa = math.exp(min(high, max(low, guess)))
    log_i0, _, variance = _moments(kappa * q)
    return kappa, min(0.0, float(log_i0.sum()) + kappa * gap), float(square @ variance)


def _moments(
    kappa: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """ln(I₀(κ)·e^{−κ}), and mean and variance of s = 1 − cos θ for θ of density ∝ e^{κ·cos θ}; each of shape (n,)."""
    # Trapezoid over half a period; for a sharp peak over as much of it as is not nil. Both converge exponentially.
    reach = np.minimum(math.pi, _REACH / np.sqrt(kappa))
    theta = reach[:, None] * (np.arange(_STEPS + 1) / _STEPS)
    s = 2.0 * np.sin(0.5 * theta) ** 2
    density = np.exp(-kappa[:, None] * s)
    density[:, [0, -1]] *= 0.5
    norm = density.sum(axis=1)
    mean = (density * s).sum(axis=1) / norm
    variance = (density * (s - mean[:, None]) ** 2).sum(axis=1) / norm
    return np.log(norm * reach / (_STEPS * math.pi)), mean, variance
