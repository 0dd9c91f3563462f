"""What stays of a band when its entries have gone: BLEND's scales, and three pyramids of dyadic blocks.

`Tiers` holds, of one band,

- ``blend``: the mean field, turned back by the carrier, over time scales from a beat to years;
- ``field``: the same in blocks of time, weighted by Σw·C: how steadily the mesh kept its rhythm, and at which phase;
- ``coherence`` and ``order``: C and R as the real parts of unit phasors, C + i√(1 − C²), weighted by Σw: the mean's
  real part is the mean C, its bound is that of the pyramid, and it is tight where C was steady, for then the phasors
  agree. C alone, of modulus C, would have the bound of a phasor that may be anything up to 1.

Beats enter in batches that mesh time alone decides, so that a hub that was restarted holds the same bits as one that
was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.memory.beats import Beat
from becomingone.kairos.memory.blend import Blend
from becomingone.kairos.memory.log_time import LogTime
from becomingone.kairos.memory.pyramid import Pyramid

BATCH: Final = 64
"""Beats that enter together."""

LONGEST_US: Final = 3 * 365.25 * 86_400e6
"""Time over which BLEND's scales are even, µs: three years."""


Arrays = tuple[NDArray[np.int64], NDArray[np.complex128], NDArray[np.float64]]


@lru_cache(maxsize=64)
def log_time(pace_us: int) -> LogTime:
    """Give the scales from a beat to `LONGEST_US`."""
    return LogTime.of(float(pace_us), LONGEST_US)


class Tiers:
    """One band's.

    Parameters
    ----------
    pace_us : int
        Length of a beat, µs: the finest block.
    keep : int
        Blocks on each level of the pyramids, even, 8 or more.

    Attributes
    ----------
    until_us : int
        Beats before this have entered, except such as came late; those from then on wait in `pending`.
    pending : list of Beat
        The batch that is not full yet.
    """

    __slots__ = ("_queue", "_stage", "blend", "coherence", "field", "keep", "order", "pace_us", "pending", "until_us")

    def __init__(self, pace_us: int, keep: int) -> None:
        self.keep = keep
        self.pace_us = pace_us
        self.blend = Blend(log_time(pace_us).tau_us)
        self.field = Pyramid(pace_us, keep=keep)
        self.coherence = Pyramid(pace_us, keep=keep)
        self.order = Pyramid(pace_us, keep=keep)
        self.until_us = 0
        self.pending: list[Beat] = []
        self._queue: list[list[Beat]] = []
        self._stage = 0  # how many of blend, field, coherence, order the first batch of the queue has entered

    def take(self, beat: Beat) -> None:
        """Put a beat to the batch; where it begins another, the one before is queued for `work`."""
        step = BATCH * self.pace_us
        if self.pending and beat.time_us // step != self.pending[-1].time_us // step:
            self._queue.append(self.pending)
            self.pending = []
        self.pending.append(beat)

    @property
    def settled(self) -> bool:
        """Whether no batch is queued."""
        return not self._queue

    def work(self) -> None:
        """Enter the first batch of the queue into one of the four; a ms or two."""
        if not self._queue:
            return
        batch = self._queue[0]
        if self._stage == 0:
            self.blend.insert_block(*_still(batch))
        elif self._stage == 1:
            self.field.insert_block(*_still(batch))
        else:
            (self.coherence if self._stage == 2 else self.order).insert_block(*_upright(batch, self._stage == 2))
        self._stage += 1
        if self._stage > 3:
            step = BATCH * self.pace_us
            self.until_us = max(self.until_us, (batch[-1].time_us // step + 1) * step)
            self._stage = 0
            del self._queue[0]

    def settle(self) -> None:
        """Enter all that is queued."""
        while self._queue:
            self.work()

    def _missing(self, place: int) -> list[Beat]:
        """Give the beats that one of the four lacks."""
        queued = self._queue[1:] if self._stage > place else self._queue
        return [beat for batch in (*queued, self.pending) for beat in batch]

    @property
    def newest_us(self) -> int:
        """Time of the latest beat, µs; 0 where there is none."""
        return max([self.field.newest_us or 0, *(beat.time_us for beat in self._missing(1))])

    def copy(self) -> Tiers:
        """Give tiers of their own with the same content: what another thread may read."""
        other = Tiers(self.pace_us, self.keep)
        other.blend, other.field = self.blend + other.blend, self.field + other.field
        other.coherence, other.order = self.coherence + other.coherence, self.order + other.order
        other.until_us, other.pending = self.until_us, list(self.pending)
        other._queue, other._stage = list(self._queue), self._stage
        return other

    def pyramids(self) -> tuple[Pyramid, Pyramid, Pyramid]:
        """Give `field`, `coherence` and `order` with what is pending; these may be read, never written."""
        return (
            self._with(self.field, _still(self._missing(1))),
            self._with(self.coherence, _upright(self._missing(2), True)),
            self._with(self.order, _upright(self._missing(3), False)),
        )

    def blended(self) -> Blend:
        """Give `blend` with what is pending; to be read only."""
        recent = Blend(log_time(self.pace_us).tau_us)
        recent.insert_block(*_still(self._missing(0)))
        return self.blend + recent

    def _with(self, pyramid: Pyramid, more: Arrays) -> Pyramid:
        if not len(more[0]):
            return pyramid
        recent = Pyramid(self.pace_us, keep=self.keep)
        recent.insert_block(*more)
        return pyramid + recent


def _upright(beats: Sequence[Beat], coherence: bool) -> Arrays:
    """Give unit phasors whose real parts are the coherence, or the order."""
    times = np.array([beat.time_us for beat in beats], dtype=np.int64)
    real = np.clip(
        np.array([beat.coherence if coherence else beat.order for beat in beats], dtype=np.float64), 0.0, 1.0
    )
    return times, real + 1j * np.sqrt(1.0 - real * real), np.array([beat.weight for beat in beats], dtype=np.float64)


def _still(beats: Sequence[Beat]) -> Arrays:
    """Give the still phasors."""
    times = np.array([beat.time_us for beat in beats], dtype=np.int64)
    still = np.array([beat.still for beat in beats], dtype=np.complex128)
    still /= np.maximum(np.abs(still), 1.0)  # six decimals may lie outside the disc by 7e-7
    return times, still, np.array([beat.still_weight for beat in beats], dtype=np.float64)
