"""The stages of a channel in their order, sample by sample or a stretch at a time, with one result.

Everything here is about usable samples and passing time; what a caller may hand in is checked in
:mod:`becomingone.kairos.channel.kernel`.
"""

from __future__ import annotations

import cmath
import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.channel.cascade import CHUNK
from becomingone.kairos.channel.demodulate import Demodulator
from becomingone.kairos.channel.grid import Grid
from becomingone.kairos.channel.onset import Onset
from becomingone.kairos.channel.reader import PhaseReader
from becomingone.kairos.channel.rhythm import Rhythm
from becomingone.kairos.channel.timing import Samples, Timing
from becomingone.kairos.onepole import alpha_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

WARM_UP_PERIODS: Final = 1.0
"""Periods of the band that must pass from the start, or from a gap longer than the lag, before a phase is given."""

STRETCH: Final = 8 * CHUNK
"""The longest stretch that is run at once; bounds the scratch memory."""

SHORT_BLOCK: Final = 64
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
    rhythm : Rhythm or None
        The slow figures; None before the first sample. Call :meth:`catch_up` before reading them.
    reader : PhaseReader
        Knows the amplitude at the last sample.
    regular_s : float
        Seconds after which a sample takes the next slot, as in a uniform stream; 0 when none does.
    """

    __slots__ = (
        "_band",
        "_demodulator",
        "_elapsed_s",
        "_extra_s",
        "_extra_turn",
        "_grid",
        "_onset",
        "_real",
        "_room",
        "_slip_s",
        "_ticked_s",
        "_ticks",
        "_timing",
        "_warm_s",
        "reader",
        "regular_s",
        "rhythm",
    )

    def __init__(self, band: Band, floor: float, *, real: bool) -> None:
        self._band = band
        self._real = real
        self._warm_s = WARM_UP_PERIODS * band.period_s * (1.0 - _TOLERANCE)
        self._onset = Onset(band.tau_s, self._warm_s)
        self._timing: Timing | None = None
        self._demodulator = Demodulator(band)
        self._grid = Grid(band)
        self._elapsed_s = 0.0
        # What the time of a sample has beyond slot × spacing, and e^{−iω₀·that}.
        self._extra_s = 0.0
        self._extra_turn: complex = 1.0
        # Ticks not yet taken: z, its weight, seconds since the start, e^{−iω₀t}, seconds since the tick before.
        self._ticks: list[tuple[complex, float, float, complex, float]] = []
        self._ticked_s = 0.0
        # By how much the samples' spacing is more than a slot, where a block's differs a little from the first one's.
        self._slip_s = 0.0
        self._room = 1
        self.regular_s = 0.0
        self.rhythm: Rhythm | None = None
        self.reader = PhaseReader(floor, real=real)

    def timing_for(self, dt: float) -> Timing:
        """Return the constants for this spacing in seconds, kept while it does not change."""
        if self._timing is None or self._timing.dt != dt:
            self._timing = Timing(self._band, dt, real=self._real)
            omega = self._band.omega if self.rhythm is None else self.rhythm.omega
            self.reader.undo = self._timing.response.undo(omega)
            self.regular_s = 0.0
        return self._timing

    @property
    def omega(self) -> float:
        """ω̂ in rad/s, as last measured."""
        return self._band.omega if self.rhythm is None else self.rhythm.omega

    # --- time --------------------------------------------------------------------------------------------------------

    def enter_block(self, spacing: float) -> Rhythm:
        """Prepare for uniform samples of this spacing in seconds."""
        if self.rhythm is None or not self._grid.fits(spacing):
            return self._respace(spacing)
        return self.rhythm

    def _respace(self, spacing: float) -> Rhythm:
        """Begin the slow figures for slots of this spacing in seconds."""
        self._grid.respace(spacing)
        self._extra_s = self._ticked_s = 0.0
        self._extra_turn = 1.0
        self._ticks.clear()
        band = self._band
        self.rhythm = Rhythm(self._grid, band.omega, band.coherence_tau_s, alpha_of(spacing, band.tau_s))
        self._room = self.rhythm.room(STRETCH)[1]
        if self._timing is not None:
            self.reader.undo = self._timing.response.undo(band.omega)
        return self.rhythm

    def wait(self, seconds: float) -> None:
        """Let time pass without samples; nothing to do before the first one."""
        if self.rhythm is None:
            return
        self.catch_up()
        self._demodulator.skip(seconds)
        self.rhythm.skip(seconds)
        self._grid.pending += seconds
        self.regular_s = 0.0
        self._drift(seconds)

    def _drift(self, seconds: float) -> None:
        """Note that time has passed of which the slots do not know (or less of it than they do)."""
        self._extra_s += seconds
        self._extra_turn *= cmath.exp(-1j * self._band.omega * seconds)
        self._extra_turn /= abs(self._extra_turn)

    def _resume(self) -> None:
        """Account for the gap before a sample: a long one starts the warm-up again, one before the first is none."""
        if self._grid.pending > self._band.lag_s:
            self._elapsed_s = 0.0
            self._onset.restart()
        elif self._elapsed_s > 0.0:
            self._elapsed_s += self._grid.pending

    def _pass_slots(self, slots: int, rhythm: Rhythm) -> None:
        """Pass over empty slots, and the ticks among them; their time has been or will be told in seconds."""
        if slots <= 0:
            return
        self.catch_up()
        ticks = self._grid.skip(slots)
        self._drift(-slots * self._grid.spacing)
        if ticks:
            rhythm.empty(ticks)

    # --- samples -----------------------------------------------------------------------------------------------------

    def run(self, x: Samples, timing: Timing, out: NDArray[np.complex128]) -> None:
        """Take usable uniform samples, shape (n,), and write their phasors to ``out``, shape (n,)."""
        rhythm = self.enter_block(timing.dt)
        if self._grid.pending:
            self._resume()
            self._pass_slots(self._grid.enter_block(), rhythm)
        self._note_regular(timing)
        n = x.shape[0]
        if n < SHORT_BLOCK:
            for i, value in enumerate(x.tolist()):
                out[i] = self.sample(value)
            return
        self.catch_up()
        for start in range(0, n, STRETCH):
            part = slice(start, min(n, start + STRETCH))
            self._stretch(x[part], timing, rhythm, out[part])

    def irregular(self, x: complex, timing: Timing) -> complex:
        """Take one usable sample that lies timing.dt after the previous one; return its phasor."""
        rhythm = self._respace(timing.dt) if self.rhythm is None else self.rhythm
        grid = self._grid
        if grid.pending:
            self._resume()
        slots = grid.advance(timing.dt)
        self._pass_slots(slots - 1, rhythm)
        self._drift(timing.dt - grid.spacing * min(1, slots))
        grid.slot += min(1, slots)
        self._note_regular(timing)
        z, weight = self._demodulator.step_alone(x, timing)
        self._elapsed_s += timing.dt
        phasor = self.reader.one(z, weight, self._elapsed_s >= self._warm_s)
        if grid.slot >= grid.next_tick:
            self._note_tick(z, weight, timing)
        return phasor

    def _note_regular(self, timing: Timing) -> None:
        self._slip_s = timing.dt - self._grid.spacing
        self.regular_s = timing.dt if self._slip_s == 0.0 else 0.0

    def sample(self, x: complex) -> complex:
        """Take one usable sample in the next slot, :attr:`regular_s` after the previous one; return its phasor."""
        timing = self._timing
        if timing is None:
            raise KernelError("a sample before its spacing")
        if self._slip_s:
            self._drift(self._slip_s)
        z, weight = self._demodulator.step(x, timing)
        elapsed_s = self._elapsed_s + timing.dt
        self._elapsed_s = elapsed_s
        phasor = self.reader.one(z, weight, elapsed_s >= self._warm_s)
        grid = self._grid
        slot = grid.slot + 1
        grid.slot = slot
        if slot >= grid.next_tick:
            # After the phasor: a new correction holds from the next sample on.
            self._note_tick(z, weight, timing)
        return phasor

    def _note_tick(self, z: complex, weight: float, timing: Timing) -> None:
        grid = self._grid
        grid.skip(0)
        now = grid.slot * grid.spacing + self._extra_s
        self._ticks.append((z, weight, self._elapsed_s, grid.turn() * self._extra_turn, now - self._ticked_s))
        self._ticked_s = now
        if len(self._ticks) >= self._room:
            self.catch_up()
            # From the next sample on.
            self.reader.undo = timing.response.undo(self.omega)

    def catch_up(self) -> None:
        """Take the ticks that were noted."""
        if not self._ticks or self.rhythm is None or self._timing is None:
            return
        z, weight, elapsed, turn, seconds = (np.array([column]) for column in zip(*self._ticks, strict=True))
        self._ticks.clear()
        phases = self.reader.ticks(z, weight, elapsed >= self._warm_s, self._timing) * turn
        self.rhythm.take(phases, self._onset.settled(phases, elapsed), seconds)
        self._room = self.rhythm.room(STRETCH)[1]

    def _stretch(self, x: Samples, timing: Timing, rhythm: Rhythm, out: NDArray[np.complex128]) -> None:
        """Take n ≤ STRETCH usable uniform samples, one slot each, at once."""
        n = x.shape[0]
        grid = self._grid
        z, weight = self._demodulator.block(x, timing)
        first = grid.slot + 1
        slots = grid.take(n)
        at = slots - first
        # ω̂ changes at ticks that end an epoch, and the correction with it.
        undo = [self.reader.undo]
        edges = [0]
        if slots.shape[0]:
            grown = None if weight is None else weight[at]
            elapsed = self._elapsed_s + timing.dt * (at + 1.0)
            young = self._elapsed_s < self._warm_s
            phases = self.reader.ticks(z[at], grown, elapsed >= self._warm_s if young else None, timing)
            settled = self._onset.settled(phases, elapsed)
            phases *= grid.turns(slots)
            phases *= self._extra_turn
            times: NDArray[np.float64] = np.multiply(slots, grid.spacing, dtype=np.float64)
            times += self._extra_s
            if self._slip_s:
                times += self._slip_s * (at + 1.0)
                phases *= np.exp((-1j * timing.omega0 * self._slip_s) * (at + 1.0))
            seconds = times.copy()
            seconds[1:] -= times[:-1]
            seconds[0] -= self._ticked_s
            self._ticked_s = times[-1].item()
            done = 0
            while done < at.shape[0]:
                groups, length = rhythm.room(at.shape[0] - done)
                part = slice(done, done + groups * length)
                shape = (groups, length)
                known = None if settled is None or settled[part].all() else settled[part].reshape(shape)
                omegas = rhythm.take(phases[part].reshape(shape), known, seconds[part].reshape(shape))
                # From the next sample on.
                undo.extend(timing.response.undo(omega) for omega in omegas)
                edges.extend((at[done + length - 1 : part.stop : length] + 1).tolist()[: len(omegas)])
                done = part.stop
        lengths = [after - before for before, after in itertools.pairwise([*edges, n])]
        warm = None
        if self._elapsed_s + timing.dt < self._warm_s:
            warm = self._elapsed_s + timing.dt * np.arange(1.0, n + 1.0) >= self._warm_s
        self.reader.many(z, weight, warm, undo, lengths, out)
        self._room = rhythm.room(STRETCH)[1]
        if self._slip_s:
            self._drift(self._slip_s * n)
        self._elapsed_s += n * timing.dt
