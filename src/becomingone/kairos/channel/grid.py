"""Which slot of time a sample belongs to, and at which slots the slow figures are updated."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

TICKS_PER_MEMORY: Final = 16
"""Ticks in 2πτ. One every 0.39τ: twice as often as the filter lets anything change, so nothing is lost between."""

RESPACE: Final = 0.1
"""A block whose spacing differs by more than this share starts the grid anew; less is jitter or a clock's skew."""

_FULL_TURN: Final = 1 << 64


class Grid:
    """Slots of one spacing, and the ticks among them.

    The lag is a whole number of slots, L of them, and holds a whole number of ticks: tick j stands at slot
    ⌊j·L/ticks⌋, so that two ticks one lag apart are exactly L slots apart.

    Parameters
    ----------
    band : Band

    Attributes
    ----------
    spacing : float
        Seconds per slot; 0 before the first sample.
    lag : int
        Slots in the lag τ̄, ≥ 1.
    lag_ticks : int
        Ticks in the lag, ≥ 1.
    memory_ticks : int
        Ticks in 2πτ, 1..lag_ticks.
    slot : int
        The present slot; 0 is the instant one spacing before the first sample.
    next_tick : int
        Slot of the next tick.
    pending : float
        Seconds skipped since the last sample.
    """

    __slots__ = (
        "_band",
        "_fraction",
        "_tick",
        "_turn_per_slot",
        "lag",
        "lag_ticks",
        "memory_ticks",
        "next_tick",
        "pending",
        "slot",
        "spacing",
    )

    def __init__(self, band: Band) -> None:
        self._band = band
        self.spacing = 0.0
        self.pending = 0.0
        self.lag = 1
        self.lag_ticks = 1
        self.memory_ticks = 1
        self.slot = 0
        self.next_tick = 1
        self._tick = 1
        self._fraction = 0.0
        self._turn_per_slot = 0

    def respace(self, spacing: float) -> None:
        """Begin again with this spacing in seconds."""
        self.spacing = spacing
        self.lag = max(1, round(self._band.lag_s / spacing))
        reach = 2.0 * math.pi * self._band.tau_s / spacing
        self.lag_ticks = math.ceil(self.lag / max(1.0, reach / TICKS_PER_MEMORY))
        self.memory_ticks = min(self.lag_ticks, max(1, round(reach * self.lag_ticks / self.lag)))
        self.slot = 0
        self._tick = 1
        self.next_tick = self.lag // self.lag_ticks
        self._fraction = 0.0
        cycles = self._band.frequency_hz * spacing
        self._turn_per_slot = round((cycles - math.floor(cycles)) * _FULL_TURN) % _FULL_TURN

    @property
    def tick_slots(self) -> float:
        """Slots from one tick to the next, on average."""
        return self.lag / self.lag_ticks

    def fits(self, spacing: float) -> bool:
        """Whether blocks of this spacing may use the present slots, one a sample."""
        return self.spacing > 0.0 and abs(spacing / self.spacing - 1.0) <= RESPACE

    def turn(self) -> complex:
        """e^{−iω₀t} at the present slot.

        Cycles are counted in whole 2⁻⁶⁴ parts, modulo one, so the angle is as exact after a year as at the start.
        """
        cycles = (self.slot * self._turn_per_slot) % _FULL_TURN / _FULL_TURN
        return cmath.exp(-2j * math.pi * cycles)

    def turns(self, slots: NDArray[np.int64]) -> NDArray[np.complex128]:
        """e^{−iω₀t} at each of these slots, shape (m,)."""
        # Unsigned arrays wrap at 2⁶⁴, which is the full turn.
        parts = slots.astype(np.uint64) * np.array([self._turn_per_slot], dtype=np.uint64)
        turned: NDArray[np.complex128] = np.exp((-2j * math.pi / _FULL_TURN) * parts.astype(np.float64))
        return turned

    def take(self, n: int) -> NDArray[np.int64]:
        """Advance by n slots that hold a sample each; return the slots of the ticks among them, shape (m,)."""
        first = self._tick
        self.skip(n)
        return np.arange(first, self._tick, dtype=np.int64) * self.lag // self.lag_ticks

    def skip(self, slots: int) -> int:
        """Advance by this many slots; return the number of ticks among them."""
        first = self._tick
        self.slot += slots
        # The first tick with ⌊j·L/ticks⌋ > slot.
        self._tick = max(first, ((self.slot + 1) * self.lag_ticks + self.lag - 1) // self.lag)
        self.next_tick = self._tick * self.lag // self.lag_ticks
        return self._tick - first

    def enter_block(self) -> int:
        """Return how many empty slots precede the next sample of a block; samples then take one slot each."""
        empty = round(self.pending / self.spacing) if self.pending > 0.0 else 0
        self.pending = 0.0
        self._fraction = 0.0
        return empty

    def advance(self, dt: float) -> int:
        """Return how many slots an irregular sample lies after the previous one: 0 for the same slot."""
        position = self._fraction + (self.pending + dt) / self.spacing
        slots = math.floor(position + 0.5)
        self._fraction = position - slots
        self.pending = 0.0
        return slots
