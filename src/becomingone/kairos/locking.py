"""Locking order: whether the phase differences are constant, whatever they are.

R asks whether phases are equal. Sensors that are mounted or built differently are locked with an offset (thigh and
shank of one walking leg: 0.75 rad). So each channel's slow mean offset to the mean field is learnt, and taken away
before the order parameter is formed: the mean-field phase-locking value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.onepole import alpha_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_LEARNT: Final = 2.0
"""Effective samples of the learning window before R_lock means anything: at the start it is 1 by construction."""

_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Locking:
    """The locking order at one tick.

    Parameters
    ----------
    order : float
        R_lock = |Σw·u·e^{−iδ}|/Σw, 0..1; 0 without a channel.
    n_eff : float
        Effective length of the learning window over the correlation time, of the least-learnt channel that took
        part; 0 without a channel.
    offsets : ndarray of float, shape (n,)
        δ of each channel asked about, −π..π, learnt **before** this tick (a joining channel's present offset); NaN
        for one that never had a phase.
    valid : bool
        At least 2 channels took part and n_eff ≥ 2. Before that R_lock is close to 1 by construction.
    """

    order: float
    n_eff: float
    offsets: NDArray[np.float64]
    valid: bool


class LockingOrder:
    """Learns the offset δ_k of each channel to the self-consistent mean field.

    The reference is Ψ = arg Σw·u·e^{−iδ}: with the offsets removed, so that channels in antiphase, whose plain sum
    vanishes, have one too. m_k is the leaky mean of u_k·Ψ*, taken only when channel k has a phase and frozen
    otherwise, and δ_k = arg m_k. The common rotation of all δ is arbitrary; it is chosen so that arg Σw·e^{iδ} = 0
    as long as that sum is not tiny.

    Nearly periodic channels lock by chance, two walkers who never met among them: R_lock alone does not tell a
    common cause.

    Parameters
    ----------
    tau_s : float
        Time over which offsets are learnt, in seconds, > 0.

    Raises
    ------
    KernelError
        When ``tau_s`` is not finite and above 0.
    """

    def __init__(self, tau_s: float) -> None:
        if not (math.isfinite(tau_s) and tau_s > 0.0):
            raise KernelError(f"tau_s is {tau_s!r}; it must be finite and above 0")
        self._tau_s = tau_s
        self._grow(4)

    def _grow(self, size: int) -> None:
        """Make room for at least this many channels."""
        old = self._mean.shape[0] if hasattr(self, "_mean") else 0
        # m (sum, not divided by its weight), Σ of weights, Σ of squared weights per second.
        mean = np.zeros(size, dtype=np.complex128)
        weight = np.zeros(size)
        square = np.zeros(size)
        if old:
            mean[:old] = self._mean
            weight[:old] = self._weight
            square[:old] = self._square
        self._mean: NDArray[np.complex128] = mean
        self._weight: NDArray[np.float64] = weight
        self._square: NDArray[np.float64] = square

    def forget(self, index: int) -> None:
        """Forget what was learnt about a channel; it joins anew when it is next seen."""
        if 0 <= index < self._mean.shape[0]:
            self._mean[index] = 0.0
            self._weight[index] = 0.0
            self._square[index] = 0.0

    def update(
        self,
        indices: NDArray[np.intp],
        phasor: NDArray[np.complex128],
        weight: NDArray[np.float64],
        dt_s: float,
        correlation_s: float,
    ) -> Locking:
        """Take the phases of one tick.

        Parameters
        ----------
        indices : ndarray of int, shape (n,)
            Channel ids, ≥ 0, each at most once.
        phasor : ndarray of complex, shape (n,)
            u at the tick, of modulus 1; 0 for a channel without a phase, which is left as it was.
        weight : ndarray of float, shape (n,)
            w ≥ 0; 0 leaves a channel as it was.
        dt_s : float
            Seconds since the previous tick, > 0.
        correlation_s : float
            Correlation time of the phases in seconds, > 0 (two-sided: ∫ρ dt, about 4τ for what the band's filter
            lets through).

        Raises
        ------
        KernelError
            When shapes differ, an id is negative or given twice, a value is not finite, or a time is not above 0.
        """
        self._check(indices, phasor, weight)
        if not (math.isfinite(correlation_s) and correlation_s > 0.0):
            raise KernelError(f"correlation_s is {correlation_s!r}; it must be finite and above 0")
        alpha = alpha_of(dt_s, self._tau_s)
        if indices.shape[0] and int(indices.max()) >= self._mean.shape[0]:
            self._grow(2 * (int(indices.max()) + 1))
        part = (phasor != 0.0) & (weight > 0.0)
        ids = indices[part]
        offsets = np.full(indices.shape, np.nan)
        if not ids.shape[0]:
            self._tell(indices, offsets)
            return Locking(0.0, 0.0, offsets, False)
        u = phasor[part] / np.abs(phasor[part])
        w = weight[part]
        known = self._weight[ids] > 0.0
        removed = _unit(np.where(known, self._mean[ids], 1.0))
        reference = self._reference(u, w, known, removed)
        removed = np.where(known, removed, u * np.conj(reference))
        total = complex((w * u * np.conj(removed)).sum())
        order = min(1.0, abs(total) / float(w.sum()))
        self._tell(indices, offsets)
        offsets[part] = np.angle(removed)
        # Learn only now: an offset that had seen this tick would hide its deviation.
        field = total / abs(total) if abs(total) > _TINY * float(w.sum()) else reference
        self._mean[ids] += alpha * (u * np.conj(field) - self._mean[ids])
        self._weight[ids] += alpha * (1.0 - self._weight[ids])
        self._square[ids] = (1.0 - alpha) ** 2 * self._square[ids] + alpha * alpha / dt_s
        self._fix_gauge(ids, w)
        window = self._weight[ids] ** 2 / self._square[ids]
        n_eff = float(window.min()) / correlation_s
        return Locking(order, n_eff, offsets, bool(ids.shape[0] >= 2 and n_eff >= MIN_LEARNT))

    @staticmethod
    def _check(indices: NDArray[np.intp], phasor: NDArray[np.complex128], weight: NDArray[np.float64]) -> None:
        if not indices.shape == phasor.shape == weight.shape or indices.ndim != 1:
            raise KernelError(f"shapes {indices.shape}, {phasor.shape}, {weight.shape}; all must be (n,)")
        if not (np.isfinite(phasor).all() and np.isfinite(weight).all()) or (weight < 0.0).any():
            raise KernelError("a phasor or a weight is not finite, or a weight is negative")
        if (indices < 0).any() or np.unique(indices).shape[0] != indices.shape[0]:
            raise KernelError("a channel id is negative or was given twice")

    def _tell(self, indices: NDArray[np.intp], offsets: NDArray[np.float64]) -> None:
        """Write the learnt offsets of the channels asked about, as far as there are any."""
        known = self._weight[indices] > 0.0
        offsets[known] = np.angle(self._mean[indices[known]])

    @staticmethod
    def _reference(
        u: NDArray[np.complex128],
        w: NDArray[np.float64],
        known: NDArray[np.bool_],
        removed: NDArray[np.complex128],
    ) -> complex:
        """Ψ from the channels whose offset is known; from the heaviest one when none is."""
        if known.any():
            total = complex((w[known] * u[known] * np.conj(removed[known])).sum())
            if abs(total) > _TINY * float(w[known].sum()):
                return total / abs(total)
        return complex(u[int(np.argmax(w))])

    def _fix_gauge(self, ids: NDArray[np.intp], w: NDArray[np.float64]) -> None:
        """Turn all means alike so that Σw·e^{iδ} of the present channels is real and positive."""
        total = complex((w * _unit(self._mean[ids])).sum())
        if abs(total) > 1e-3 * float(w.sum()):
            self._mean *= abs(total) / total


def _unit(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """z/|z|, and 1 where z is 0."""
    modulus = np.abs(z)
    out = np.ones_like(z)
    np.divide(z, modulus, out=out, where=modulus > 0.0)
    return out
