"""What chance makes of the resultant of n random unit phasors: how often it is as long, and how long on average."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_TABLE: Final = 24
"""Up to this n the exact distribution is tabulated; beyond it the approximation of Zar is closer than 1e-4."""

_GRID: Final = 512
_REACH: Final = 200.0
_ROUNDING: Final = 1e-9
_ASYMPTOTIC: Final = 12.0


def rayleigh_p(r: float, n: float) -> float:
    """Probability that n independent uniform phases have a mean resultant length of at least r.

    Parameters
    ----------
    r : float
        |Σ e^{iφ}|/n, 0..1 (rounding beyond 1 is tolerated).
    n : float
        Number of phases, ≥ 1; an effective number need not be whole, and p is interpolated between whole ones.

    Returns
    -------
    float
        0..1. One phase: 1. Two: (2/π)·acos r. Up to 24: exact to 1e-4. More: exp(√(1 + 4n + 4n²(1 − r²)) − 1 − 2n)
        (J. H. Zar, Biostatistical Analysis, eq. 27.4).

    Raises
    ------
    KernelError
        When n is below 1 or r outside 0..1.

    Notes
    -----
    For whole n ≥ 3 the distribution is Kluyver's integral P(|Σ| ≤ ρ) = ρ∫J₁(ρt)·J₀(t)ⁿdt; as the resultant never
    leaves the disc of radius n, the integral becomes a Fourier-Bessel series on that disc.
    """
    if not (math.isfinite(n) and n >= 1.0 - _ROUNDING):
        raise KernelError(f"rayleigh_p of n = {n!r}; it must be at least 1")
    if not -_ROUNDING <= r <= 1.0 + _ROUNDING:
        raise KernelError(f"rayleigh_p of r = {r!r}; it must be within 0..1")
    r = min(1.0, max(0.0, float(r)))
    low = math.floor(n + _ROUNDING)
    share = n - low
    below = _p_whole(r, low) if low <= LARGEST_TABLE else _p_zar(r, n)
    if share <= _ROUNDING or low > LARGEST_TABLE:
        return below
    return (1.0 - share) * below + share * _p_whole(r, low + 1)


def unbiased(r: float, n: float) -> float:
    """Return a mean resultant length without what chance contributes, √((n·R² − 1)/(n − 1)), 0 where that is imaginary.

    Parameters
    ----------
    r : float
        R = |Σw·u|/Σw, 0..1 (rounding beyond 1 is tolerated).
    n : float
        Effective number of independent phases, ≥ 1: (Σw)²/Σw². One says nothing: 0.

    Returns
    -------
    float
        0..1. Before the root it is without bias: of independent phases, each with mean resultant ρ, E[R²] = ρ² +
        (1 − ρ²)/n exactly, whatever the weights.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    if not 0.0 <= r <= 1.0 + 1e-9:
        raise KernelError(f"R is {r!r}; it must be within 0..1")
    if not (math.isfinite(n) and n >= 1.0 - 1e-9):
        raise KernelError(f"n is {n!r}; it must be at least 1")
    if n <= 1.0 + 1e-9:
        return 0.0
    return math.sqrt(min(1.0, max(0.0, (n * r * r - 1.0) / (n - 1.0))))


def _p_whole(r: float, n: int) -> float:
    """Tail probability for a whole number of phases."""
    if n <= 1:
        return 1.0
    if n == 2:
        return 2.0 / math.pi * math.acos(r)
    if n > LARGEST_TABLE:
        return _p_zar(r, n)
    table = _table(n)
    position = r * _GRID
    cell = min(int(position), _GRID - 1)
    share = position - cell
    return (1.0 - share) * table[cell] + share * table[cell + 1]


def _p_zar(r: float, n: float) -> float:
    """Approximate tail probability for many phases."""
    return min(1.0, math.exp(math.sqrt(1.0 + 4.0 * n + 4.0 * n * n * (1.0 - r * r)) - (1.0 + 2.0 * n)))


@functools.cache
def _table(n: int) -> tuple[float, ...]:
    """Tail probabilities at r = 0, 1/512, ... 1 for n ≥ 3 phases."""
    r = np.linspace(0.0, 1.0, _GRID + 1)
    tail = _tail_of_three(3.0 * r) if n == 3 else _tail_by_series(n * r, n)
    tail = np.minimum.accumulate(np.clip(tail, 0.0, 1.0))
    tail[0] = 1.0
    tail[-1] = 0.0
    return tuple(tail.tolist())


def _tail_of_three(rho: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(|Σ| > ρ) for three phases: the resultant of two, 2·cos θ, and one more at a uniform angle to it."""
    steps = 512
    two = 2.0 * np.cos((np.arange(steps) + 0.5) * (math.pi / 2.0 / steps))
    cosine = (rho[:, None] ** 2 - 1.0 - two**2) / (2.0 * two)
    tail: NDArray[np.float64] = np.arccos(np.clip(cosine, -1.0, 1.0)).mean(axis=1) / math.pi
    return tail


def _tail_by_series(rho: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """P(|Σ| > ρ) for n ≥ 4 phases: 1 − Σ_k 2ρ·J₁(j_k·ρ/n)·J₀(j_k/n)ⁿ / (n·j_k·J₁(j_k)²), j_k the zeros of J₀."""
    # The terms fall as t^{−(n+1)/2} at t = j_k/n: far fewer are needed for many phases.
    reach = min(_REACH, 6.0 + (2.0e4) ** (2.0 / (n - 1)))
    k = np.arange(1, max(8, math.ceil(reach * n / math.pi)) + 1)
    beta = (k - 0.25) * math.pi
    zeros = beta + 1.0 / (8.0 * beta) - 124.0 / (3.0 * (8.0 * beta) ** 3)
    for _ in range(3):
        zeros = zeros + _bessel(0, zeros) / _bessel(1, zeros)
    scale = 2.0 * _bessel(0, zeros / n) ** n / (n * zeros * _bessel(1, zeros) ** 2)
    waves = _bessel(1, rho[:, None] * (zeros / n))
    tail: NDArray[np.float64] = 1.0 - rho * (waves @ scale)
    return tail


def _bessel(order: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """J₀ or J₁ at x ≥ 0, to 1e-9: the mean of cos(order·θ − x·sin θ) below 12, Hankel's expansion above."""
    flat = x.ravel()
    out = np.empty_like(flat)
    near = flat < _ASYMPTOTIC
    # The trapezoid rule over a period converges faster than exponentially once it has more points than x.
    theta = (np.arange(16) + 0.5) * (math.pi / 32.0)
    wave = flat[near, None] * np.sin(theta)
    out[near] = np.cos(wave).mean(axis=1) if order == 0 else (np.sin(wave) * np.sin(theta)).mean(axis=1)
    far = flat[~near]
    mu = 4.0 * order * order
    term = np.ones_like(far)
    even = np.ones_like(far)
    odd = np.zeros_like(far)
    for m in range(1, 10):
        term = term * (mu - (2 * m - 1) ** 2) / (m * 8.0 * far)
        sign = -1.0 if (m // 2) % 2 else 1.0
        if m % 2:
            odd += sign * term
        else:
            even += sign * term
    phase = far - (order / 2.0 + 0.25) * math.pi
    out[~near] = np.sqrt(2.0 / (math.pi * far)) * (even * np.cos(phase) - odd * np.sin(phase))
    return out.reshape(x.shape)
