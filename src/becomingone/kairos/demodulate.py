"""Two cascaded one-pole filters, rotated to the band's frequency.

z₁ ← λ·e^{iω₀Δ}·z₁ + α·x and z₂ likewise, driven by z₁: the leaky integration of the documents, run in a frame that
turns with the band. One pole is too little selective; two have a group delay of 2τ for the envelope, none for the
carrier.
"""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.timing import Samples, Timing

_SETTLED: Final = 1e-15


class Demodulator:
    """z₂ of x − mean, and its start-up weight.

    Beside the signal, the same recursion is run on ones, twice. Not rotated, it gives the weight by which z₂ falls
    short at the start: 2·|z₂|/weight is the amplitude of a tone from the first period on, and stays so across gaps.
    Rotated, it gives what a constant 1 has left in z₂; times the present mean, that is what the mean has to answer
    for, in all of the past at once.
    """

    __slots__ = ("_one1", "_one2", "_w1", "_w2", "_z1", "_z2")

    def __init__(self) -> None:
        self._z1: complex = 0.0
        self._z2: complex = 0.0
        self._one1: complex = 0.0
        self._one2: complex = 0.0
        self._w1 = 0.0
        self._w2 = 0.0

    def step(self, x: complex, mean: complex, timing: Timing) -> tuple[complex, float]:
        """Take one sample and the present mean; return z₂ without the mean, and the weight (0..1)."""
        alpha = timing.alpha
        rotor = timing.rotor
        z1 = rotor * self._z1
        z1 += alpha * (x - z1)
        z2 = rotor * self._z2
        z2 += alpha * (z1 - z2)
        one1 = rotor * self._one1
        one1 += alpha * (1.0 - one1)
        one2 = rotor * self._one2
        one2 += alpha * (one1 - one2)
        self._z1, self._z2, self._one1, self._one2 = z1, z2, one1, one2
        self._w1 += alpha * (1.0 - self._w1)
        self._w2 += alpha * (self._w1 - self._w2)
        return z2 - mean * one2, self._w2

    def block(self, x: Samples, mean: Samples, timing: Timing) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
        """Take uniform samples and the mean after each; return z₂ without the mean, and its weights; all (n,)."""
        n = x.shape[0]
        rotors = timing.rotors(n)
        # In the turning frame, whose angle is zero just before the block, both poles are plain leaky means. Nothing
        # but the state crosses from block to block, so no phase accumulates rounding errors.
        turned = x * rotors
        # Once the weights are 1 to rounding, their recursion has nothing to say.
        growing = 1.0 - self._w2 > _SETTLED
        rows = 3 if growing else 2
        signals = np.ones((rows, n))
        signals[0] = turned.real
        signals[1] = turned.imag
        first = timing.pole.run(signals, np.array([self._z1.real, self._z1.imag, self._w1][:rows]))
        second = timing.pole.run(first, np.array([self._z2.real, self._z2.imag, self._w2][:rows]))
        z = np.empty(n, dtype=np.complex128)
        z.real = second[0]
        z.imag = second[1]
        z *= np.conj(rotors)
        self._z1 = complex(first[0, -1], first[1, -1]) * rotors[-1].item().conjugate()
        self._z2 = z[-1].item()
        z -= mean * self._ones(n, timing)
        if not growing:
            return z, np.ones_like(second[0])
        self._w1 = float(first[2, -1])
        self._w2 = float(second[2, -1])
        return z, second[2]

    def _ones(self, n: int, timing: Timing) -> NDArray[np.complex128] | complex:
        """Return what the two poles make of a constant 1: its steady value, and a free motion that dies away."""
        still1, still2 = timing.still
        off1 = self._one1 - still1
        off2 = self._one2 - still2
        if abs(off1) + abs(off2) < _SETTLED:
            return still2
        k = np.arange(1, n + 1)
        log_lambda = math.log1p(-timing.alpha) if timing.alpha < 1.0 else -math.inf
        fading: NDArray[np.complex128] = np.exp(k * log_lambda) * np.conj(timing.rotors(n))
        free2 = fading * (off2 + (timing.alpha * off1) * k)
        self._one1 = still1 + off1 * fading[-1].item()
        self._one2 = still2 + free2[-1].item()
        ones: NDArray[np.complex128] = np.add(still2, free2, dtype=np.complex128)
        return ones

    def skip(self, seconds: float, omega0: float, tau: float) -> None:
        """Let time pass without samples.

        The free motion of the two poles in continuous time, z₂ ← e^{−t/τ}·(z₂ + (t/τ)·z₁), turned by ω₀t, so that
        two skips are the same as one as long as both; what ones have left moves alike, so that the amplitude is held.
        """
        decay = math.exp(-seconds / tau)
        # Not 0·inf, however long it was.
        inflow = seconds / tau if decay > 0.0 else 0.0
        turn = decay * cmath.exp(1j * omega0 * seconds) if decay > 0.0 else 0.0
        self._z2 = turn * (self._z2 + inflow * self._z1)
        self._z1 *= turn
        self._one2 = turn * (self._one2 + inflow * self._one1)
        self._one1 *= turn
        self._w2 = decay * (self._w2 + inflow * self._w1)
        self._w1 *= decay
