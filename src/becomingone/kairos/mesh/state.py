"""The channels of one band taken together, at one instant.

Three figures that are easily mistaken for one another. The **global coherence** is how steady the channels are, each
for itself; it is 1 for ten clocks that all tell different times. The **order parameter** R is how equal their phases
are. The **locking order** (:mod:`becomingone.kairos.mesh.locking`) is how constant their differences are.
"""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.mesh.locking import Locking, LockingOrder
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.kairos.mesh.rayleigh_weighted import CERTAIN, rayleigh_p_weighted
from becomingone.kairos.rayleigh import rayleigh_p, unbiased
from becomingone.kairos.sums import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Locking",
    "LockingOrder",
    "MeshState",
    "PartialSum",
    "carried",
    "extrapolate",
    "freshness",
    "merge_p",
    "weights",
]

_TINY = 1e-12


def extrapolate(
    phasor: NDArray[np.complex128],
    omega: NDArray[np.float64],
    *,
    delay_s: NDArray[np.float64] | float,
    phase_sigma: NDArray[np.float64] | float,
    omega_sigma: NDArray[np.float64] | float,
    clock_sigma_s: NDArray[np.float64] | float,
    diffusion: NDArray[np.float64] | float = 0.0,
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Bring phases, each of its own time, to one tick.

    φ(t) = φ₀ + ω·δ with variance σ² = σ_φ² + (δ·σ_ω)² + 2D·|δ| + (ω·σ_t)².

    Parameters
    ----------
    phasor : ndarray of complex, shape (n,)
        u at each channel's own time; 0 (no phase) stays 0.
    omega : ndarray of float, shape (n,)
        Frequencies in rad/s.
    delay_s : ndarray of float, shape (n,), or float
        δ: tick less the channel's time, in seconds; negative when the tick lies before it.
    phase_sigma : ndarray or float
        σ_φ in radians, ≥ 0.
    omega_sigma : ndarray or float
        σ_ω in rad/s, ≥ 0.
    clock_sigma_s : ndarray or float
        σ_t, the uncertainty of the channel's clock, in seconds, ≥ 0.
    diffusion : ndarray or float
        D, phase diffusion in rad²/s, ≥ 0.

    Returns
    -------
    phasor_at_tick : ndarray of complex, shape (n,)
    variance : ndarray of float, shape (n,)
        In rad².
    """
    delay = np.asarray(delay_s, dtype=np.float64)
    moved = carried(phasor, omega, delay)
    # Of the phasors' shape from the first term on, whatever the shapes of the others.
    variance = np.square(np.asarray(omega * clock_sigma_s) + np.zeros(phasor.shape))
    variance += np.square(np.asarray(phase_sigma, dtype=np.float64))
    variance += np.square(delay * omega_sigma)
    if np.any(diffusion):
        variance += 2.0 * np.asarray(diffusion, dtype=np.float64) * np.abs(delay)
    return moved, variance


def carried(
    phasor: NDArray[np.complex128], omega: NDArray[np.float64], delay_s: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Return u·e^{iωδ} for phasors of shape (n,), frequencies in rad/s and delays in seconds."""
    # By the tangent of half the angle, t: (1 − t² + 2it)/(1 + t²). One tangent takes a fifth of sine and cosine.
    t = np.tan(np.asarray(0.5 * omega * delay_s))
    square = t * t
    share = 1.0 / (1.0 + square)
    turn = np.empty(t.shape, dtype=np.complex128)
    np.multiply(1.0 - square, share, out=turn.real)
    np.multiply(2.0 * t, share, out=turn.imag)
    moved: NDArray[np.complex128] = phasor * turn
    return moved


def freshness(age_s: NDArray[np.float64], max_age_s: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return 1 up to half the greatest age, then falling linearly to 0 at the greatest age.

    Parameters
    ----------
    age_s : ndarray of float, shape (n,)
        Age of the evidence in seconds; negative (from a clock ahead of ours) counts as 0.
    max_age_s : ndarray of float, shape (n,), or float
        Greatest age in seconds, > 0.

    Raises
    ------
    KernelError
        When a greatest age is not above 0.
    """
    limit = np.asarray(max_age_s, dtype=np.float64)
    if limit.size and not float(np.minimum.reduce(limit)) > 0.0:
        raise KernelError("max_age_s must be above 0")
    fresh = np.asarray(age_s, dtype=np.float64) / limit
    fresh *= -2.0
    fresh += 2.0
    np.minimum(fresh, 1.0, out=fresh)
    np.maximum(fresh, 0.0, out=fresh)
    return fresh


def weights(
    capability: NDArray[np.float64],
    freshness: NDArray[np.float64],
    trust: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return w = capability · freshness · trust · e^{−σ²/2}, each of shape (n,) and ≥ 0; σ² in rad²."""
    w: NDArray[np.float64] = capability * freshness * trust * np.exp(-0.5 * np.asarray(variance))
    return w


def merge_p(p: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Merge p-values by their weighted mean, valid however the channels depend on one another.

    p = min(1, min(2, 1/max ŵ) · Σŵp) with normalised weights ŵ (V. Vovk and R. Wang, Combining p-values via
    averaging, Biometrika 107, 2020): a factor of 2 for many channels, less when one of them outweighs the rest, 1
    for a single channel.

    Parameters
    ----------
    p : ndarray of float, shape (n,)
        0..1.
    weight : ndarray of float, shape (n,)
        ≥ 0, with a sum above 0.

    Raises
    ------
    KernelError
        When the shapes differ or the weights sum to 0.
    """
    if p.shape != weight.shape:
        raise KernelError(f"{p.shape} p-values and {weight.shape} weights")
    total = float(np.add.reduce(weight))
    if not total > 0.0:
        raise KernelError("the weights of the p-values sum to 0")
    return min(1.0, min(2.0, total / float(np.maximum.reduce(weight))) * (dot(weight, p) / total))


@dataclass(frozen=True, slots=True)
class MeshState:
    """What the mesh of one band is at one tick.

    Parameters
    ----------
    valid : bool
        Whether at least one channel has a phase and a weight. If not, there is no evidence: ``phase`` is None,
        coherence and order are 0 and every p is 1.
    phase : float or None
        arg T_global in radians, −π..π; None also when T_global vanishes.
    resonance : complex
        T_global = Σw·T/Σw, modulus 0..1.
    coherence : float
        Σw·C/Σw, 0..1. Says nothing about mutual synchrony.
    order : float
        R = |Σw·u|/Σw, 0..1. One channel alone has R = 1.
    n_weights : float
        (Σw)²/Σw², the effective number of channels.
    order_unbiased : float
        R less what chance contributes (:func:`becomingone.kairos.rayleigh.unbiased`), 0..1; 0 for one channel.
    order_p : float
        Probability that unrelated phases of these weights have an R as large
        (:func:`becomingone.kairos.mesh.rayleigh_weighted.rayleigh_p_weighted`). Where the sums hold channels whose
        weights are not given, of ``n_weights`` equal ones, which errs towards a greater p.
    coherence_n_eff : float
        Weighted mean of the channels' N_eff.
    coherence_p : float
        The channels' p-values, merged by :func:`merge_p`.
    count : int
        Number of channels.
    oldest_time_us : int or None
        Time of the oldest evidence, in microseconds.
    """

    valid: bool
    phase: float | None
    resonance: complex
    coherence: float
    order: float
    n_weights: float
    order_unbiased: float
    order_p: float
    coherence_n_eff: float
    coherence_p: float
    count: int
    oldest_time_us: int | None

    @classmethod
    def of(
        cls,
        total: PartialSum,
        *,
        weight: NDArray[np.float64],
        p: NDArray[np.float64],
        n_eff: NDArray[np.float64],
    ) -> MeshState:
        """Form the state from the sums, and the channels' own figures.

        Parameters
        ----------
        total : PartialSum
            Over the same channels.
        weight, p, n_eff : ndarray of float, shape (n,)
            Weight, p-value and effective number of samples of each channel; those of weight 0 do not count.

        Returns
        -------
        MeshState
            With ``valid`` false when the weights sum to 0.

        Raises
        ------
        KernelError
            When the shapes differ, or the sums have weight and the channels have none.
        """
        if not total.weight > 0.0:
            return cls(False, None, 0j, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0, None)
        if not weight.shape == p.shape == n_eff.shape:
            raise KernelError(f"shapes {weight.shape}, {p.shape}, {n_eff.shape}; all must be equal")
        merged = merge_p(p, weight)
        resonance = total.resonance / total.weight
        order = min(1.0, abs(total.order) / total.weight)
        # Weights so small that their squares vanish count as one channel: the most cautious figure.
        n_weights = max(1.0, total.weight**2 / total.weight_squared) if total.weight_squared > 0.0 else 1.0
        return cls(
            valid=True,
            phase=cmath.phase(resonance) if abs(resonance) > _TINY else None,
            resonance=resonance,
            coherence=min(1.0, total.coherence / total.weight),
            order=order,
            n_weights=n_weights,
            order_unbiased=unbiased(order, n_weights),
            order_p=_order_p(order, n_weights, weight, total.count),
            coherence_n_eff=max(1.0, dot(weight, n_eff) / total.weight),
            coherence_p=merged,
            count=total.count,
            oldest_time_us=total.oldest_time_us,
        )


def _order_p(order: float, n_weights: float, weight: NDArray[np.float64], count: int) -> float:
    cautious = rayleigh_p(order, n_weights)
    if cautious < CERTAIN or n_weights <= 1.0 or int(np.count_nonzero(weight)) != count:
        return cautious
    return rayleigh_p_weighted(order, weight)
