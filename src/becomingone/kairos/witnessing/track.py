"""The filter inside a witness: a track of a value or a phase, its innovations and their sensitivity to the gain."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.kairos.onepole import leaky

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.channel.timing import Samples

LARGEST: Final = 1e100
"""A value beyond this counts as missing: its square would overflow."""

_SETTLED: Final = 1e-6
_TURN: Final = 2.0 * math.pi


class Track:
    """x ← x + K·e on values, or on the phases of phasors, whose innovations are wrapped to −π..π.

    Only differences of consecutive values enter, e_{n+1} = (1 − K)·e_n + y_{n+1} − y_n − advance, so a large constant
    costs no digits and a phase needs no unwrapping. For phases this is the linear filter exactly as long as no
    innovation exceeds π.

    Attributes
    ----------
    spread : float
        Predicted variance of the track over the scale s: K when steady, more at the start and after a gap, by the
        Kalman filter with Q = K²s and R = (1 − K)s. The innovation's expected variance is s·(spread + 1 − K).
    missing : int
        Samples without a value since the last one.
    begun : bool
        Whether there was a value.
    """

    __slots__ = ("_carry", "_circular", "_last", "_tangent", "begun", "missing", "spread")

    def __init__(self, *, circular: bool) -> None:
        self._circular = circular
        self._last: complex = 0.0
        self.begun = False
        # What is left of the latest innovation, and ∂e/∂K of the next one.
        self._carry = 0.0
        self._tangent = 0.0
        self.spread = math.inf
        self.missing = 0

    def usable(self, value: complex) -> bool:
        """Whether this is a value: finite, not beyond 1e100 and, as a phasor, not 0."""
        return abs(value) <= LARGEST and (not self._circular or value != 0.0)

    def read(self, value: complex) -> float:
        """Return the value, or the phasor's phase in −π..π."""
        return cmath.phase(value) if self._circular else value.real

    def predicted(self, advance: float) -> float:
        """Return what is expected at the next sample; NaN before the first value."""
        if not self.begun:
            return math.nan
        value = self.read(self._last) + (self.missing + 1) * advance - self._carry
        return _wrapped(value) if self._circular else value

    def begin(self, value: complex, gain: float) -> None:
        """Take the first value: the track is where it is, with the variance of its noise."""
        self._last = value
        self.begun = True
        self.missing = 0
        self.spread = 1.0 - gain + gain * gain

    def step(self, value: complex, gain: float, advance: float) -> tuple[float, float, float]:
        """Take one usable value after the first.

        Returns
        -------
        innovation, whitened, tangent : float
            e; e and ∂e/∂K scaled to the steady filter's variance.
        """
        ahead = (self.missing + 1) * advance
        if self._circular:
            difference = cmath.phase(value * self._last.conjugate() * cmath.exp(-1j * ahead))
            innovation = _wrapped(self._carry + difference)
        else:
            innovation = self._carry + (value.real - self._last.real - ahead)
        spread = self.spread + self.missing * gain * gain
        variance = spread + 1.0 - gain
        root = math.sqrt(variance)
        out = innovation, innovation / root, self._tangent / root
        share = spread / variance
        self._carry = (1.0 - share) * innovation
        self._tangent = (1.0 - share) * self._tangent - innovation
        self.spread = (1.0 - share) * spread + gain * gain
        if abs(self.spread - gain) <= _SETTLED * gain:
            self.spread = gain
        self._last = value
        self.missing = 0
        return out

    def run(self, values: Samples, gain: float, advance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Take usable values at consecutive samples, shape (n,), n ≥ 1, while the filter is steady and none is missing.

        Returns
        -------
        innovation, tangent : ndarray of float, shape (m,)
            m ≤ n: for phases up to the first innovation beyond π, which has to be wrapped by ``step``; may be 0.
        """
        drive = self._differences(values, advance)
        drive[0] += self._carry
        innovation = leaky(drive / gain, gain)
        if self._circular:
            beyond = np.flatnonzero(np.abs(innovation) > math.pi).tolist()
            innovation = innovation[: beyond[0]] if beyond else innovation
        n = innovation.shape[0]
        if not n:
            return innovation, innovation
        drive = np.empty(n, dtype=np.float64)
        drive[0] = self._tangent
        drive[1:] = -innovation[:-1]
        tangent = leaky(drive / gain, gain)
        self._carry = (1.0 - gain) * innovation[-1].item()
        self._tangent = (1.0 - gain) * tangent[-1].item() - innovation[-1].item()
        self._last = values[n - 1].item()
        return innovation, tangent

    def _differences(self, values: Samples, advance: float) -> NDArray[np.float64]:
        """Return how much each value, shape (n,), is ahead of what the one before it foretells."""
        if self._circular:
            phasors = np.concatenate((np.array([self._last], dtype=np.complex128), values))
            turned = phasors[1:] * np.conj(phasors[:-1]) * cmath.exp(-1j * advance)
            return np.asarray(np.arctan2(turned.imag, turned.real), dtype=np.float64)
        line = np.concatenate((np.array([self._last.real], dtype=np.float64), values.real))
        return np.asarray(np.diff(line) - advance, dtype=np.float64)

    def retune(self, old: float, new: float) -> None:
        """Go on with another gain: a steady filter is at once steady with it."""
        if self.spread == old:
            self.spread = new


def _wrapped(angle: float) -> float:
    """Return the angle in −π..π."""
    return math.remainder(angle, _TURN)
