"""The theory of Kuramoto's oscillators: how far and how fast a population of unequal frequencies locks.

For planning a mesh's gain, and for what a simulated one (:mod:`becomingone.kairos.mesh.population`) is held against.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lorentzian_frequencies(n: int, gamma: float) -> NDArray[np.float64]:
    """Return the n quantiles γ·tan(π((k − ½)/n − ½)) of a Lorentzian of half width γ, which sum to 0.

    Parameters
    ----------
    n : int
        ≥ 1.
    gamma : float
        γ in rad/s, > 0.

    Returns
    -------
    ndarray of float, shape (n,)
        Rising, in rad/s. Quantiles instead of draws: what a finite population deviates by is then about 1/n, not 1/√n.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    if n < 1:
        raise KernelError(f"n is {n!r}; it must be at least 1")
    above_zero(gamma, "gamma")
    k = np.arange(n) - 0.5 * (n - 1)
    spread: NDArray[np.float64] = gamma * np.tan(np.pi * k / n)
    return spread


def poisson_phases(n: int, r: float) -> NDArray[np.float64]:
    """Return n quantiles, in scattered order, of the phase density with moments ⟨e^{imθ}⟩ = r^m.

    The density of E. Ott and T. M. Antonsen (Chaos 18, 2008): a population that begins with it, independent of
    frequency, obeys their equation from the start.

    Parameters
    ----------
    n : int
        ≥ 1.
    r : float
        0 ≤ r < 1.

    Returns
    -------
    ndarray of float, shape (n,)
        −π..π. Ordered by the golden ratio, so that no frequency range is favoured.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    if n < 1:
        raise KernelError(f"n is {n!r}; it must be at least 1")
    if not 0.0 <= r < 1.0:
        raise KernelError(f"r is {r!r}; it must be at least 0 and below 1")
    u = (np.arange(n) * 0.5 * (math.sqrt(5.0) - 1.0)) % 1.0
    phases: NDArray[np.float64] = 2.0 * np.arctan((1.0 - r) / (1.0 + r) * np.tan(np.pi * (u - 0.5)))
    return phases


def locked_order(gain: float, gamma: float, *, lag: float = 0.0) -> float:
    """Return r = √(1 − 2γ/(K·cos α)) of infinitely many oscillators, 0 below K_c = 2γ/cos α.

    Parameters
    ----------
    gain : float
        K in rad/s, > 0.
    gamma : float
        Half width of the Lorentzian of frequencies in rad/s, > 0.
    lag : float
        α in radians, |α| < π/2 (H. Sakaguchi and Y. Kuramoto, Prog. Theor. Phys. 76, 1986).

    Returns
    -------
    float
        0..1.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    above_zero(gain, "gain")
    above_zero(gamma, "gamma")
    checked_lag(lag)
    return math.sqrt(max(0.0, 1.0 - 2.0 * gamma / (gain * math.cos(lag))))


def time_to_lock(gain: float, gamma: float, *, start: float, share: float = 0.9) -> float:
    """Return how long the order takes from ``start`` to a share of its final value.

    The equation of Ott and Antonsen, ṙ = −γr + (K/2)r(1 − r²), is the logistic one of r²: with q = 1 − 2γ/K, r²(t) =
    q/(1 + (q/r₀² − 1)e^{−(K − 2γ)t}). K − 2γ is also the rate at which a small disturbance of the locked state heals.

    Parameters
    ----------
    gain, gamma : float
        K and γ in rad/s; K > 2γ.
    start : float
        r₀ at t = 0, 0 < r₀ < 1.
    share : float
        Of the final order, 0 < share < 1.

    Returns
    -------
    float
        Seconds, ≥ 0; 0 when the order is there from the start.

    Raises
    ------
    KernelError
        When a value is out of its range, or the gain is too small for locking.
    """
    q = locked_order(gain, gamma) ** 2
    if not q > 0.0:
        raise KernelError(f"gain {gain:g} does not exceed 2·gamma = {2.0 * gamma:g}; the population never locks")
    if not 0.0 < start < 1.0:
        raise KernelError(f"start is {start!r}; it must be above 0 and below 1")
    if not 0.0 < share < 1.0:
        raise KernelError(f"share is {share!r}; it must be above 0 and below 1")
    if start * start >= share * share * q:
        return 0.0
    return math.log((q / start**2 - 1.0) * share**2 / (1.0 - share**2)) / (gain - 2.0 * gamma)


def winding_number(phase: NDArray[np.float64]) -> int:
    """Count the whole turns of the phase once around a ring of coupled oscillators.

    Rings (and sparse couplings with long loops) have locked states in which every neighbour is nearly in phase and the
    ring as a whole is not: twisted states (D. A. Wiley, S. H. Strogatz and M. Girvan, Chaos 16, 2006). R is then about
    0, every neighbour's difference 2πq/n, and no coupling to neighbours alone ever undoes it. Not 0: couple the nodes
    to the mean field, or along a chord, until it is.

    Parameters
    ----------
    phase : ndarray of float, shape (n,)
        Radians, in the order of the ring, closed from the last to the first; n ≥ 1.

    Returns
    -------
    int
        q. Meaningful while no difference of neighbours is near π.

    Raises
    ------
    KernelError
        When there is no phase, or one is not finite.
    """
    if phase.ndim != 1 or not phase.shape[0]:
        raise KernelError(f"phases have shape {phase.shape}; it must be (n,), n at least 1")
    if not np.isfinite(phase).all():
        raise KernelError("a phase is not finite")
    difference = np.diff(phase, append=phase[:1])
    return round(float((difference - 2.0 * np.pi * np.round(difference / (2.0 * np.pi))).sum()) / (2.0 * math.pi))


def above_zero(value: float, name: str) -> None:
    """Raise KernelError unless the value is finite and above 0."""
    if not (math.isfinite(value) and value > 0.0):
        raise KernelError(f"{name} is {value!r}; it must be finite and above 0")


def checked_lag(lag: float) -> None:
    """Raise KernelError unless the phase lag is within ±π/2."""
    if not abs(lag) < math.pi / 2.0:
        raise KernelError(f"lag is {lag!r}; it must be within ±π/2, or the field repels")
