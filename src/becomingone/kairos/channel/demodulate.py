"""From samples to the band's analytic signal: slow mean away, two cascaded one-pole filters, turned to ω₀.

z₁ ← λ·e^{iω₀Δ}·z₁ + α·x and z₂ likewise, driven by z₁: the leaky integration of the documents, run in a frame that
turns with the band. One pole is too little selective; two have a group delay of 2τ for the envelope, none for the
carrier.

The slow mean is not subtracted before the filter but after it, from the whole past at once. Subtracted sample by
sample, the mean of the first half period would be that of the oscillation itself, and the error would stay in the
filter for seconds and in the frequency for minutes.
"""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.kairos.channel.cascade import CascadeState
from becomingone.kairos.channel.timing import TURNS, mean_tau_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band
    from becomingone.kairos.channel.timing import Samples, Timing

_SETTLED: Final = 1e-15


class Demodulator:
    """z₂ of x − mean, and its start-up weight.

    Beside the signal, the same recursions are run on ones, in closed form. Not rotated, that gives the weight by which
    z₂ falls short at the start: 2·|z₂|/weight is the amplitude of a tone from the first period on, and stays so across
    gaps. Rotated, it gives what a constant 1 has left in z₂; times the present mean, that is what the mean has to
    answer for, in all of the past at once. Everything is reckoned from x₀, the first sample: a constant input gives
    exactly 0 and an air pressure of 101 325 Pa costs no digits.

    Parameters
    ----------
    band : Band
    """

    __slots__ = (
        "_band",
        "_growing",
        "_lack1",
        "_lack2",
        "_lack_mean",
        "_mean",
        "_one1",
        "_one2",
        "_origin",
        "_timing",
        "_turn",
        "_turns",
        "_z1",
        "_z2",
    )

    def __init__(self, band: Band) -> None:
        self._band = band
        self._origin: complex | None = None
        # The two poles in the frame that has turned for `_turn` samples, and the leaky sum of the mean.
        self._z1: complex = 0.0
        self._z2: complex = 0.0
        self._turn = 0
        self._mean: complex = 0.0
        # What the weights of the mean and of both poles still lack of 1, and what the poles make of ones. Once nothing
        # is lacking and the ones are still, neither needs reckoning.
        self._growing = True
        self._timing: Timing | None = None
        self._turns: tuple[list[complex], list[complex]] | None = None
        self._lack_mean = 1.0
        self._lack1 = 1.0
        self._lack2 = 1.0
        self._one1: complex = 0.0
        self._one2: complex = 0.0

    def step(self, x: complex, timing: Timing) -> tuple[complex, float]:
        """Take one finite sample; return z₂ without the mean, and the weight (0..1)."""
        if timing is not self._timing:
            self._respace(timing)
        if self._origin is None:
            self._origin = x
        y = x - self._origin
        alpha = timing.alpha
        back, forward = self._turns or self._load_turns(timing)
        k = self._turn + 1
        self._turn = k
        z1 = self._z1
        self._z1 = z1 = z1 + alpha * (y * back[k] - z1)
        z2 = self._z2
        self._z2 = z2 = z2 + alpha * (z1 - z2)
        z = z2 * forward[k]
        if k == TURNS:
            self._settle_frame()
        self._mean += timing.alpha_mean * (y - self._mean)
        if not self._growing:
            return z - timing.still[1] * self._mean, 1.0
        return self._grow(z, timing)

    def step_alone(self, x: complex, timing: Timing) -> tuple[complex, float]:
        """Take one finite sample of an irregular stream, without the tables of its spacing."""
        if timing is not self._timing:
            self._respace(timing)
        if self._origin is None:
            self._origin = x
        y = x - self._origin
        alpha, rotor = timing.alpha, timing.rotor
        self._z1 *= rotor
        self._z1 += alpha * (y - self._z1)
        self._z2 *= rotor
        self._z2 += alpha * (self._z1 - self._z2)
        self._mean += timing.alpha_mean * (y - self._mean)
        return self._grow(self._z2, timing)

    def _grow(self, z: complex, timing: Timing) -> tuple[complex, float]:
        """Take the mean out of z₂ while its own weight, or the filter's answer to it, is still growing."""
        alpha = timing.alpha
        self._lack_mean *= 1.0 - timing.alpha_mean
        self._lack1 *= 1.0 - alpha
        self._lack2 += alpha * (self._lack1 - self._lack2)
        self._one1 *= timing.rotor
        self._one1 += alpha * (1.0 - self._one1)
        self._one2 *= timing.rotor
        self._one2 += alpha * (self._one1 - self._one2)
        mean = self._mean / (1.0 - self._lack_mean)
        out = z - mean * self._one2
        weight = 1.0 - self._lack2
        if self._lack_mean <= _SETTLED:  # the slowest: until then there is no need to look at the others
            self._note_settling(timing)
        return out, weight

    def block(self, x: Samples, timing: Timing) -> tuple[NDArray[np.complex128], NDArray[np.float64] | None]:
        """Take n ≥ 1 uniform finite samples; return z₂ without the mean, and its weights.

        Returns
        -------
        z : ndarray of complex, shape (n,)
        weight : ndarray of float, shape (n,), or None
            None when all weights are 1.
        """
        if timing is not self._timing:
            self._respace(timing)
        origin: complex = x[0].item() if self._origin is None else self._origin
        self._origin = origin
        self._settle_frame()
        if not self._growing and not np.iscomplexobj(x):
            z, state = timing.cascade.run_clean(x.real - origin.real, CascadeState(self._z1, self._z2, self._mean))
            self._z1, self._z2, self._mean = state
            return z, None
        still1, still2 = timing.still
        z, mean = self._filter(x, timing, origin)
        if not self._growing:
            z -= mean * still2
            return z, None
        # The same as in _grow, in closed form: what lacks dies away, and the ones move freely about their still.
        n = x.shape[0]
        k = np.arange(1.0, n + 1.0)
        fading = timing.fading(k)
        lack_mean = self._lack_mean * timing.fading_mean(k)
        lack2 = fading * (self._lack2 + (timing.alpha * self._lack1) * k)
        turned = fading * np.exp((1j * timing.omega0 * timing.dt) * k)
        off1 = self._one1 - still1
        ones = still2 + turned * (self._one2 - still2 + (timing.alpha * off1) * k)
        z -= mean / (1.0 - lack_mean) * ones
        self._lack_mean = lack_mean[-1].item()
        self._lack1 *= fading[-1].item()
        self._lack2 = lack2[-1].item()
        self._one1 = still1 + off1 * turned[-1].item()
        self._one2 = ones[-1].item()
        self._note_settling(timing)
        return z, 1.0 - lack2

    def _filter(self, x: Samples, timing: Timing, origin: complex) -> tuple[NDArray[np.complex128], Samples]:
        """Return z₂ and the leaky sum of the mean after each sample."""
        state = CascadeState(self._z1, self._z2, self._mean)
        if not np.iscomplexobj(x):
            z, mean, (self._z1, self._z2, self._mean) = timing.cascade.run(x.real - origin.real, state)
            return z, mean
        y: NDArray[np.complex128] = np.asarray(x - origin, dtype=np.complex128)
        z, real_mean, after = timing.cascade.run(np.ascontiguousarray(y.real), state)
        beside = CascadeState(0.0, 0.0, state.mean.imag)
        z_imag, imag_mean, after_imag = timing.cascade.run(np.ascontiguousarray(y.imag), beside)
        self._z1 = after.z1 + 1j * after_imag.z1
        self._z2 = after.z2 + 1j * after_imag.z2
        self._mean = complex(after.mean.real, after_imag.mean.real)
        return z + 1j * z_imag, real_mean + 1j * imag_mean

    def _settle_frame(self) -> None:
        """Let the poles' frame stand where it is, before anything that is not the next sample of a spacing."""
        if self._turn and self._timing is not None:
            turned = self._timing.turns[1][self._turn]
            self._z1 *= turned
            self._z2 *= turned
            self._turn = 0

    def _respace(self, timing: Timing) -> None:
        """Go on with another spacing, whose still differs."""
        self._settle_frame()
        self._timing = timing
        self._turns = None
        self._growing = True

    def _load_turns(self, timing: Timing) -> tuple[list[complex], list[complex]]:
        self._turns = timing.turns
        return self._turns

    def _note_settling(self, timing: Timing) -> None:
        left = self._lack_mean + self._lack1 + self._lack2
        left += abs(self._one1 - timing.still[0]) + abs(self._one2 - timing.still[1])
        self._growing = left > _SETTLED

    def skip(self, seconds: float) -> None:
        """Let time pass without samples.

        The free motion of the two poles in continuous time, z₂ ← e^{−t/τ}·(z₂ + (t/τ)·z₁), turned by ω₀t, so that
        two skips are the same as one as long as both; what ones have left moves alike, so that amplitude and mean are
        held.
        """
        self._settle_frame()
        tau = self._band.tau_s
        decay = math.exp(-seconds / tau)
        # Not 0·inf, however long it was.
        inflow = seconds / tau if decay > 0.0 else 0.0
        turn = decay * cmath.exp(1j * self._band.omega * seconds) if decay > 0.0 else 0.0
        self._z2 = turn * (self._z2 + inflow * self._z1)
        self._z1 *= turn
        self._one2 = turn * (self._one2 + inflow * self._one1)
        self._one1 *= turn
        held = math.exp(-seconds / mean_tau_of(self._band))
        self._mean *= held
        self._lack_mean = 1.0 - held * (1.0 - self._lack_mean)
        self._lack2 = 1.0 - decay * (1.0 - self._lack2 + inflow * (1.0 - self._lack1))
        self._lack1 = 1.0 - decay * (1.0 - self._lack1)
        self._growing = True
