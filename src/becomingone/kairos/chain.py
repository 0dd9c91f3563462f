"""The stages of a channel in their order, sample by sample or a stretch at a time, with one result.

Everything here is about usable samples and passing time; what a caller may hand in is checked in
:mod:`becomingone.kairos.channel`.
"""

from __future__ import annotations

import cmath
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.kairos.coherence import LocalCoherence, filter_correlation
from becomingone.kairos.condition import Conditioner
from becomingone.kairos.demodulate import Demodulator
from becomingone.kairos.frequency import FrequencyTracker
from becomingone.kairos.grid import Grid
from becomingone.kairos.onepole import alpha_of
from becomingone.kairos.resonance import TemporalResonance
from becomingone.kairos.timing import CHUNK, Samples, Timing, mean_tau_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

WARM_UP_PERIODS: Final = 1.0
"""Periods of the band that must pass from the start, or from a gap longer than the lag, before a phase is given."""

SETTLED_WEIGHT: Final = 0.9
"""Start-up weight of the filter, reached after 3.9τ, from which on its output says anything about frequency. Before
that ω̂ = ω₀: a frequency read off the filter's own transient would mislead the phase for the whole of τ_C."""

SHORT_BLOCK: Final = 28
"""Stretches shorter than this are run sample by sample: faster there (measured), equal everywhere."""

_TOLERANCE: Final = 1e-9


class Chain:
    """The running state of one channel in one band.

    Parameters
    ----------
    band : Band
    floor : float
        Amplitude below which there is no phase, in the sensor's unit, ≥ 0.
    real : bool
        Whether samples are real.

    Attributes
    ----------
    omega : float
        ω̂ in rad/s, as last measured.
    amplitude : float
        At the last sample, in the sensor's unit.
    conditioner, coherence, resonance
        The stages that a report is read from.
    """

    __slots__ = (
        "_band",
        "_demodulator",
        "_drift",
        "_elapsed_s",
        "_floor",
        "_frequency",
        "_grid",
        "_real",
        "_scale",
        "_timing",
        "_turn",
        "_undo",
        "_warm_s",
        "amplitude",
        "coherence",
        "conditioner",
        "omega",
        "resonance",
    )

    def __init__(self, band: Band, floor: float, *, real: bool) -> None:
        self._band = band
        self._floor = floor
        self._real = real
        # A real oscillation of peak A is the sum of two phasors of A/2.
        self._scale = 2.0 if real else 1.0
        self._warm_s = WARM_UP_PERIODS * band.period_s * (1.0 - _TOLERANCE)
        self._timing: Timing | None = None
        self._undo: tuple[complex, complex] = (1.0, 0.0)
        self._demodulator = Demodulator()
        self._frequency = FrequencyTracker()
        self._grid = Grid(band)
        # e^{−iω₀t} and e^{−i∫(ω̂−ω₀)dt} at the last sample.
        self._turn: complex = 1.0
        self._drift: complex = 1.0
        self._elapsed_s = 0.0
        self.omega = band.omega
        self.amplitude = 0.0
        self.conditioner = Conditioner()
        self.coherence = LocalCoherence(1, 1, 1.0)
        self.resonance = TemporalResonance(1, 1.0)

    @property
    def started(self) -> bool:
        """Whether there was a sample."""
        return self._grid.spacing > 0.0

    def timing_for(self, dt: float) -> Timing:
        """Return the constants of this spacing in seconds and take them into use."""
        timing = self._timing
        if timing is None or timing.dt != dt:
            timing = self._timing = Timing(self._band, dt, real=self._real)
            self._undo = timing.response.undo(self.omega)
        return timing

    def enter_block(self, spacing: float) -> None:
        """Prepare for uniform samples: start the lagged figures anew if the slots do not fit."""
        if not self._grid.fits(spacing):
            self._respace(spacing)

    def _respace(self, spacing: float) -> None:
        """Begin the coherence and resonance sums for slots of this spacing in seconds."""
        grid = self._grid
        grid.respace(spacing)
        alpha = alpha_of(spacing, self._band.tau_s)
        self.coherence = LocalCoherence(grid.every, grid.lags, filter_correlation(alpha))
        enough = alpha_of(grid.lag * spacing, self._band.coherence_tau_s) * (1.0 - _TOLERANCE)
        self.resonance = TemporalResonance(grid.lag, enough)

    def wait(self, seconds: float) -> None:
        """Let time pass without samples; nothing to do before the first one."""
        if not self.started:
            return
        window = self._band.coherence_tau_s
        self.conditioner.skip(seconds, mean_tau_of(self._band))
        self._demodulator.skip(seconds, self._band.omega, self._band.tau_s)
        self._frequency.skip(seconds, window)
        self.coherence.skip(seconds, window)
        self.resonance.skip(seconds, window)
        self._turn *= cmath.exp(-1j * self._band.omega * seconds)
        self._drift *= cmath.exp(-1j * (self.omega - self._band.omega) * seconds)
        self._grid.pending += seconds

    def _resume(self) -> None:
        """Account for the gap before a sample: a long one starts the warm-up again, one before the first is none."""
        if self._grid.pending > self._band.lag_s:
            self._elapsed_s = 0.0
        elif self._elapsed_s > 0.0:
            self._elapsed_s += self._grid.pending

    def run(self, x: Samples, timing: Timing, out: NDArray[np.complex128]) -> None:
        """Take usable uniform samples, shape (n,), and write their phasors to ``out``, shape (n,)."""
        n = x.shape[0]
        self._resume()
        slots = self._grid.enter_block()
        if n < SHORT_BLOCK:
            for i, value in enumerate(x.tolist()):
                out[i] = self._sample(value, timing, 1 + slots)
                slots = 0
            return
        if slots:
            self._skip_slots(slots)
        for start in range(0, n, CHUNK):
            part = slice(start, min(n, start + CHUNK))
            self._chunk(x[part], timing, out[part])

    def _skip_slots(self, slots: int) -> None:
        """Pass over empty slots, and the ticks among them."""
        grid = self._grid
        self.resonance.empty(slots)
        ticks = (grid.slot + slots) // grid.every - grid.slot // grid.every
        if ticks:
            self.coherence.empty_ticks(ticks)
        grid.slot += slots

    def irregular(self, x: complex, timing: Timing) -> complex:
        """Take one usable sample that lies timing.dt after the previous one; return its phasor."""
        if not self.started:
            self._respace(timing.dt)
        self._resume()
        return self._sample(x, timing, self._grid.advance(timing.dt))

    def _sample(self, x: complex, timing: Timing, slots: int) -> complex:
        """Take one usable sample that lies ``slots`` after the previous one; return its phasor."""
        grid = self._grid
        self._elapsed_s += timing.dt
        if slots > 1:
            self._skip_slots(slots - 1)
            slots = 1
        z, weight = self._demodulator.step(*self.conditioner.step(x, timing), timing)
        self._frequency.step(z if weight >= SETTLED_WEIGHT else 0.0, timing)
        c, d = self._undo
        value = c * z + d * z.conjugate()
        modulus = abs(value)
        self.amplitude = self._scale * modulus / weight
        valid = self._elapsed_s >= self._warm_s and self.amplitude >= self._floor and modulus > 0.0
        u: complex = value / modulus if valid else 0.0
        self._turn *= timing.rotor.conjugate()
        self._drift *= cmath.exp(-1j * (self.omega - self._band.omega) * timing.dt)
        q = u * self._turn
        v = q * self._drift
        self.coherence.step(v, timing)
        self.resonance.step(q, timing, slots)
        self._turn /= abs(self._turn)
        self._drift /= abs(self._drift)
        before = grid.slot // grid.every
        grid.slot += slots
        if grid.slot // grid.every > before:
            self.coherence.ticks(np.array([v], dtype=np.complex128), self._alpha_tick())
            # From the next sample on.
            self.omega = self._frequency.omega(self._band.omega)
            self._undo = timing.response.undo(self.omega)
        return u

    def _chunk(self, x: Samples, timing: Timing, out: NDArray[np.complex128]) -> None:
        """Take n ≤ CHUNK usable uniform samples, one slot each, at once."""
        n = x.shape[0]
        grid = self._grid
        omega0 = self._band.omega
        z, weight = self._demodulator.block(*self.conditioner.block(x, timing), timing)
        # Samples at which a tick falls; ω̂ changes after them, never within a stretch.
        ticks = np.arange(-(grid.slot + 1) % grid.every, n, grid.every, dtype=np.intp)
        # After a gap the second pole's weight first falls towards the first's, so its ends do not tell.
        settled = z if weight.min() >= SETTLED_WEIGHT else np.where(weight >= SETTLED_WEIGHT, z, 0.0)
        tuned = self._frequency.block(settled, timing, ticks)
        grid.slot += n
        lengths = np.diff(ticks, prepend=-1, append=n - 1)
        omegas = np.concatenate(([self.omega], tuned))
        c, d = timing.response.undo_each(omegas)
        c[0], d[0] = self._undo
        value = np.repeat(c, lengths) * z
        if self._real:
            value += np.repeat(d, lengths) * np.conj(z)
        modulus = np.abs(value)
        amplitude = self._scale * modulus / weight
        elapsed: NDArray[np.float64] = self._elapsed_s + timing.dt * np.arange(1, n + 1, dtype=np.float64)
        valid = (elapsed >= self._warm_s) & (amplitude >= self._floor) & (modulus > 0.0)
        np.divide(value, modulus, out=out, where=valid)
        rotors = timing.rotors(n)
        q = out * rotors
        q *= self._turn
        drift = np.exp(-1j * np.cumsum(np.repeat((omegas - omega0) * timing.dt, lengths)))
        drift *= self._drift
        v = q * drift
        self.coherence.block(v, valid, timing)
        self.resonance.block(q, timing)
        if ticks.shape[0]:
            self.coherence.ticks(v[ticks], self._alpha_tick())
            self.omega = float(tuned[-1])
            self._undo = (c[-1].item(), d[-1].item())
        self._turn *= rotors[-1].item()
        self._turn /= abs(self._turn)
        self._drift = drift[-1].item()
        self._drift /= abs(self._drift)
        self._elapsed_s = float(elapsed[-1])
        self.amplitude = float(amplitude[-1])

    def _alpha_tick(self) -> float:
        """Weight of one tick in the coherence window."""
        return alpha_of(self._grid.every * self._grid.spacing, self._band.coherence_tau_s)
