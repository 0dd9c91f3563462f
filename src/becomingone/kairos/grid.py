"""Which slot of time a sample belongs to: keeps the rings of past phases aligned through gaps and jitter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from becomingone.kairos.bands import Band

LAGS: Final = 16
"""At most this many lags of the autocorrelation are measured, evenly spaced over 0..2πτ."""

RESPACE: Final = 0.1
"""A block whose spacing differs by more than this share starts the rings anew; less is jitter or a clock's skew."""


class Grid:
    """A count of slots of one spacing, and the decimated instants (ticks) at which slow figures are updated.

    Parameters
    ----------
    band : Band

    Attributes
    ----------
    spacing : float
        Seconds per slot; 0 before the first sample.
    lag : int
        Slots in the lag τ̄, ≥ 1.
    every : int
        Slots from one tick to the next, ≥ 1.
    lags : int
        Ticks in 2πτ, 1..16.
    slot : int
        The present slot; 0 is the instant one spacing before the first sample.
    pending : float
        Seconds skipped since the last sample.
    """

    __slots__ = ("_band", "_fraction", "every", "lag", "lags", "pending", "slot", "spacing")

    def __init__(self, band: Band) -> None:
        self._band = band
        self.spacing = 0.0
        self.lag = 1
        self.every = 1
        self.lags = 1
        self.slot = 0
        self.pending = 0.0
        self._fraction = 0.0

    def respace(self, spacing: float) -> None:
        """Begin again with this spacing in seconds."""
        self.spacing = spacing
        self.lag = max(1, round(self._band.lag_s / spacing))
        reach = 2.0 * math.pi * self._band.tau_s / spacing
        self.every = max(1, math.ceil(reach / LAGS))
        self.lags = max(1, round(reach / self.every))
        self.slot = 0
        self._fraction = 0.0

    def fits(self, spacing: float) -> bool:
        """Whether blocks of this spacing may use the present slots, one a sample."""
        return self.spacing > 0.0 and abs(spacing / self.spacing - 1.0) <= RESPACE

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
