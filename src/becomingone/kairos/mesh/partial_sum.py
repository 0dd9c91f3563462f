"""The sums from which a mesh's figures follow: mergeable in any order and grouping, so that meshes nest.

Each sum carries what rounding took from it, so that merging loses nothing that would show: sums of a hundred thousand
nodes, merged one by one or by any tree, agree to the last place or the one before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOTHING: Final = (0.0,) * 7
_ROUNDED: Final = 1.0 + 1e-12


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
    rounded : tuple of 7 floats
        What the seven sums above lack for being rounded to a float each (real and imaginary parts apart). Whoever
        passes a sum on may leave it out: it is below 1e-16 of the sum.

    Notes
    -----
    ``a + b`` adds by the error-free transformation of D. E. Knuth (TAOCP 2, 4.2.2): twice the precision of a float.
    """

    weight: float
    resonance: complex
    order: complex
    coherence: float
    weight_squared: float
    count: int
    oldest_time_us: int | None
    rounded: tuple[float, ...] = field(default=_NOTHING, repr=False, compare=False)

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
        if not weight.shape[0]:
            return cls.empty()
        least, rarest = float(np.minimum.reduce(weight)), float(np.minimum.reduce(coherence))
        # A NaN makes every comparison false, an infinity the one with it.
        if not (least >= 0.0 and rarest >= 0.0):
            raise KernelError("a weight or a coherence is negative or not a number")
        modulus = np.abs(phasor)
        shortest, longest = float(np.minimum.reduce(modulus)), float(np.maximum.reduce(modulus))
        greatest = max(float(np.maximum.reduce(weight)), float(np.maximum.reduce(coherence)))
        if not (greatest < math.inf and longest < math.inf):
            raise KernelError("a weight, a phasor or a coherence is not finite")
        w, u, c = weight, phasor, coherence
        times = np.asarray(time_us, dtype=np.int64)
        if times.shape not in ((), weight.shape):
            raise KernelError(f"times have shape {times.shape}; it must be () or {weight.shape}")
        if not (least > 0.0 and shortest > 0.0):
            counted = (weight > 0.0) & (modulus > 0.0)
            w, u, c, modulus = weight[counted], phasor[counted], coherence[counted], modulus[counted]
            times = times[counted] if times.ndim else times
            if not w.shape[0]:
                return cls.empty()
        if longest > _ROUNDED:
            u = u / np.maximum(modulus, 1.0)
        if float(np.maximum.reduce(c)) > 1.0:
            c = np.minimum(c, 1.0)
        wu = w * u
        return cls(
            weight=float(np.add.reduce(w)),
            resonance=complex((c * wu).sum()),
            order=complex(wu.sum()),
            coherence=float((w * c).sum()),
            weight_squared=float((w * w).sum()),
            count=w.shape[0],
            oldest_time_us=int(times.min()),
        )

    def __add__(self, other: PartialSum) -> PartialSum:
        times = [time for time in (self.oldest_time_us, other.oldest_time_us) if time is not None]
        pairs = zip(self._sums(), other._sums(), self.rounded, other.rounded, strict=True)
        sums, rounded = zip(*(_add(*pair) for pair in pairs), strict=True)
        weight, resonance_re, resonance_im, order_re, order_im, coherence, weight_squared = sums
        return PartialSum(
            weight,
            complex(resonance_re, resonance_im),
            complex(order_re, order_im),
            coherence,
            weight_squared,
            self.count + other.count,
            min(times, default=None),
            rounded,
        )

    def _sums(self) -> tuple[float, ...]:
        """Give the seven sums that rounding touches."""
        t, u = self.resonance, self.order
        return (self.weight, t.real, t.imag, u.real, u.imag, self.coherence, self.weight_squared)


def _add(a: float, b: float, a_rounded: float, b_rounded: float) -> tuple[float, float]:
    """Sum of two numbers of twice the precision, as the nearest float and what it lacks."""
    total = a + b
    from_b = total - a
    error = (a - (total - from_b)) + (b - from_b) + (a_rounded + b_rounded)
    nearest = total + error
    return nearest, error - (nearest - total)
