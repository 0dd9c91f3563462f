"""The sums from which a mesh's figures follow: mergeable in any order and grouping, so that meshes nest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PartialSum:
    """What some channels of one band contribute at one tick.

    Parameters
    ----------
    weight : float
        Σw, ≥ 0.
    resonance : complex
        Σw·T with T = coherence·u, modulus clipped to 1.
    order : complex
        Σw·u.
    coherence : float
        Σw·C.
    weight_squared : float
        Σw².
    count : int
        Number of channels with a phase and a weight.
    oldest_time_us : int or None
        Time of the oldest evidence among them, in microseconds; None when there are none.
    """

    weight: float
    resonance: complex
    order: complex
    coherence: float
    weight_squared: float
    count: int
    oldest_time_us: int | None

    @classmethod
    def empty(cls) -> PartialSum:
        """Return the sum over no channels, the identity of ``+``."""
        return cls(0.0, 0j, 0j, 0.0, 0.0, 0, None)

    @classmethod
    def of(
        cls,
        *,
        weight: NDArray[np.float64],
        phasor: NDArray[np.complex128],
        coherence: NDArray[np.float64],
        time_us: NDArray[np.int64] | int,
    ) -> PartialSum:
        """Sum over channels.

        Parameters
        ----------
        weight : ndarray of float, shape (n,)
            w ≥ 0.
        phasor : ndarray of complex, shape (n,)
            u at the tick: modulus 1, or 0 for a channel without a phase, which is left out entirely: its coherence
            of 0 says that it knows nothing, not that it disagrees.
        coherence : ndarray of float, shape (n,)
            Local coherence C, 0..1; more is clipped to 1.
        time_us : ndarray of int, shape (n,), or int
            Time of each channel's evidence in microseconds.

        Raises
        ------
        KernelError
            When the shapes differ, or a value is not finite or negative.
        """
        if not weight.shape == phasor.shape == coherence.shape or weight.ndim != 1:
            raise KernelError(f"shapes {weight.shape}, {phasor.shape}, {coherence.shape}; all must be (n,)")
        if not (np.isfinite(weight).all() and np.isfinite(phasor).all() and np.isfinite(coherence).all()):
            raise KernelError("a weight, a phasor or a coherence is not finite")
        if (weight < 0.0).any() or (coherence < 0.0).any():
            raise KernelError("a weight or a coherence is negative")
        times = np.broadcast_to(np.asarray(time_us, dtype=np.int64), weight.shape)
        counted = (weight > 0.0) & (phasor != 0.0)
        if not counted.any():
            return cls.empty()
        w = weight[counted]
        u = phasor[counted]
        u = u / np.maximum(np.abs(u), 1.0)
        c = np.minimum(coherence[counted], 1.0)
        return cls(
            weight=float(w.sum()),
            resonance=complex((w * c * u).sum()),
            order=complex((w * u).sum()),
            coherence=float((w * c).sum()),
            weight_squared=float((w * w).sum()),
            count=int(counted.sum()),
            oldest_time_us=int(times[counted].min()),
        )

    def __add__(self, other: PartialSum) -> PartialSum:
        times = [time for time in (self.oldest_time_us, other.oldest_time_us) if time is not None]
        return PartialSum(
            self.weight + other.weight,
            self.resonance + other.resonance,
            self.order + other.order,
            self.coherence + other.coherence,
            self.weight_squared + other.weight_squared,
            self.count + other.count,
            min(times, default=None),
        )
