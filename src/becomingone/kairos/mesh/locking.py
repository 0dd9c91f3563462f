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
from becomingone.kairos.mesh.disc_points import normalised
from becomingone.kairos.mesh.locking_evidence import LockingEvidence
from becomingone.kairos.onepole import alpha_of
from becomingone.kairos.sums import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.mesh.locking_evidence import Rows

MIN_LEARNT: Final = 2.0
"""Effective samples of the learning window before R_lock means anything: at the start it is 1 by construction."""

_TINY: Final = 1e-9
_ROUNDED: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Locking:
    """The locking order at one tick.

    Parameters
    ----------
    order : float
        R_lock = |Σw·u·e^{−iδ}|/Σw, 0..1; 0 without a channel. Unrelated phases too are far from 0: see ``unbiased``.
    unbiased : float
        R_lock less what chance and the learning of offsets contribute, √((R_lock² − b)/(1 − b)) with b = 1/N +
        (1 − 1/N)/n_eff, N the effective number of channels; 0 when R_lock² is below b.
    p : float
        How often unrelated channels agree as well over the whole window: see
        :class:`becomingone.kairos.mesh.locking_evidence.LockingEvidence`; 1 until ``valid``.
    p_n_eff : float
        Effective number of independent samples behind p, measured, of the least-learnt channel.
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
    unbiased: float
    p: float
    p_n_eff: float
    n_eff: float
    offsets: NDArray[np.float64]
    valid: bool


class LockingOrder:
    """Learns the offset δ_k of each channel to the self-consistent mean field.

    The reference is Ψ = arg Σw·u·e^{−iδ}: with the offsets removed, so that channels in antiphase, whose plain sum
    vanishes, have one too. m_k is the leaky mean of u_k·Ψ*, taken only when channel k has a phase and frozen
    otherwise, and δ_k = arg m_k. The common rotation of all δ is arbitrary; it is chosen so that arg Σw·e^{iδ} = 0
    as long as that sum is not tiny.

    Nearly periodic channels lock by chance, two walkers who never met among them: neither R_lock nor its p tells a
    common cause. What p excludes is that the differences wander.

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
        self._evidence = LockingEvidence(tau_s)
        # m (sum, not divided by its weight), Σ of weights, Σ of squared weights per second.
        self._mean: NDArray[np.complex128] = np.zeros(0, dtype=np.complex128)
        self._weight: NDArray[np.float64] = np.zeros(0)
        self._square: NDArray[np.float64] = np.zeros(0)
        self._used = 0
        # Large arrays made anew cost more than what is done with them: three are kept.
        self._room: NDArray[np.complex128] = np.zeros((3, 0), dtype=np.complex128)

    def _grow(self, size: int) -> None:
        """Make room for at least this many channels."""
        more = size - self._weight.shape[0]
        self._mean = np.concatenate((self._mean, np.zeros(more, dtype=np.complex128)))
        self._weight = np.concatenate((self._weight, np.zeros(more)))
        self._square = np.concatenate((self._square, np.zeros(more)))
        self._room = np.zeros((3, size), dtype=np.complex128)
        self._evidence.grow(size)

    def forget(self, index: int) -> None:
        """Forget what was learnt about a channel; it joins anew when it is next seen."""
        if 0 <= index < self._mean.shape[0]:
            self._mean[index] = 0.0
            self._weight[index] = 0.0
            self._square[index] = 0.0
            self._evidence.forget(index)

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
        ordered, modulus, everyone = _check(indices, phasor, weight)
        if not (math.isfinite(correlation_s) and correlation_s > 0.0):
            raise KernelError(f"correlation_s is {correlation_s!r}; it must be finite and above 0")
        alpha = alpha_of(dt_s, self._tau_s)
        if indices.shape[0]:
            last = int(indices[-1]) if ordered else int(indices.max())
            self._used = max(self._used, last + 1)
            if last >= self._mean.shape[0]:
                self._grow(2 * (last + 1))
        ids, u, w = indices, phasor, weight
        part = modulus > 0.0
        if not everyone:
            part &= weight > 0.0
            if not part.any():
                return Locking(0.0, 0.0, 1.0, 0.0, 0.0, self._learnt(indices), False)
            ids, u, w, modulus = indices[part], phasor[part], weight[part], modulus[part]
        if max(float(np.maximum.reduce(modulus)) - 1.0, 1.0 - float(np.minimum.reduce(modulus))) > _ROUNDED:
            u = u / modulus
        # Neighbouring rows need not be gathered and scattered.
        first, n = int(ids[0]), ids.shape[0]
        rows = slice(first, first + n) if ordered and int(ids[-1]) - first == n - 1 else ids
        w = normalised(w, float(np.maximum.reduce(w)))
        own, removed, room = self._room[:, :n]
        np.multiply(w, u, out=own)
        self._offsets(rows, u, w, own, removed, room)
        if everyone:
            offsets = np.angle(removed)
        else:
            offsets = self._learnt(indices)
            offsets[part] = np.angle(removed)
        np.conjugate(removed, out=room)
        room *= own
        field = complex(room.sum())
        order = min(1.0, abs(field))
        window, filled = self._learn(rows, u, field, removed, room, alpha=alpha, dt_s=dt_s)
        evidence = self._evidence.update(
            rows, u, own, w, window, filled, (removed, room), alpha=alpha, dt_s=dt_s, correlation_s=correlation_s
        )
        n_eff = float(np.minimum.reduce(window)) / correlation_s
        valid = n >= 2 and n_eff >= MIN_LEARNT
        bias = dot(w, w)
        bias += (1.0 - bias) / max(1.0, evidence.n_eff)
        unbiased = math.sqrt(max(0.0, order * order - bias) / (1.0 - bias)) if bias < 1.0 else 0.0
        return Locking(order, unbiased, evidence.p if valid else 1.0, evidence.n_eff, n_eff, offsets, valid)

    def _learnt(self, indices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Give the offsets learnt so far of the channels asked about; NaN where there are none."""
        return np.where(self._weight[indices] > 0.0, np.angle(self._mean[indices]), np.nan)

    def _offsets(
        self,
        rows: Rows,
        u: NDArray[np.complex128],
        w: NDArray[np.float64],
        own: NDArray[np.complex128],
        removed: NDArray[np.complex128],
        room: NDArray[np.complex128],
    ) -> None:
        """Write e^{iδ} of each channel, that of a joining one being its present offset.

        All that was learnt is turned alike first, so that Σw·e^{iδ} of the known channels is real and positive.
        """
        modulus, weight = np.abs(self._mean[rows]), self._weight[rows]
        np.maximum(modulus, _TINY**2, out=modulus)
        np.multiply(self._mean[rows], 1.0 / modulus, out=removed)
        everyone = float(np.minimum.reduce(weight)) > 0.0
        known = weight > 0.0
        heard = 1.0 if everyone else float(w[known].sum())
        np.multiply(w, removed, out=room)
        total = complex(room.sum())
        if heard > 0.0 and abs(total) > 1e-3 * heard:
            gauge = total.conjugate() / abs(total)
            self._mean[: self._used] *= gauge
            removed *= gauge
        if not everyone:
            total = complex((own * np.conj(removed)).sum())
            reference = total / abs(total) if abs(total) > _TINY * heard else complex(u[int(np.argmax(np.abs(own)))])
            removed[~known] = u[~known] * reference.conjugate()

    def _learn(
        self,
        rows: Rows,
        u: NDArray[np.complex128],
        field: complex,
        removed: NDArray[np.complex128],
        room: NDArray[np.complex128],
        *,
        alpha: float,
        dt_s: float,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Learn only after the offsets were used: one that had seen this tick would hide its deviation.

        Returns the effective length of each window in seconds, and its weight.
        """
        # The offsets removed, nothing may be left to compare with but one channel.
        towards = field / abs(field) if abs(field) > _TINY else complex(u[0] * np.conj(removed[0]))
        mean, weight, square = self._mean[rows], self._weight[rows], self._square[rows]
        np.multiply(u, towards.conjugate(), out=room)
        room -= mean
        room *= alpha
        mean += room
        weight += alpha * (1.0 - weight)
        square *= (1.0 - alpha) ** 2
        square += alpha * alpha / dt_s
        if not isinstance(rows, slice):
            self._mean[rows], self._weight[rows], self._square[rows] = mean, weight, square
        return weight * weight / square, weight


def _check(
    indices: NDArray[np.intp], phasor: NDArray[np.complex128], weight: NDArray[np.float64]
) -> tuple[bool, NDArray[np.float64], bool]:
    """Refuse what has no meaning.

    Tells whether the ids rise, the moduli of the phasors, and whether every channel has a phase and a weight.
    """
    if not indices.shape == phasor.shape == weight.shape or indices.ndim != 1:
        raise KernelError(f"shapes {indices.shape}, {phasor.shape}, {weight.shape}; all must be (n,)")
    modulus = np.abs(phasor)
    if not indices.shape[0]:
        return True, modulus, False
    least, greatest = float(np.minimum.reduce(weight)), float(np.maximum.reduce(weight))
    # A NaN makes every comparison false.
    if not (least >= 0.0 and greatest < math.inf and float(np.maximum.reduce(modulus)) < math.inf):
        raise KernelError("a phasor or a weight is not finite, or a weight is negative")
    ordered = bool((indices[1:] > indices[:-1]).all())
    if int(indices[0] if ordered else indices.min()) < 0 or not (
        ordered or np.unique(indices).shape[0] == indices.shape[0]
    ):
        raise KernelError("a channel id is negative or was given twice")
    return ordered, modulus, least > 0.0 and float(np.minimum.reduce(modulus)) > 0.0
