"""When the samples of a sensor that makes its own are due: a regular grid on the mesh's time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from becomingone.devices.contract import ClockPort

CATCH_UP_S = 5
"""Seconds of samples that one read may give at most; after a longer pause the rest is skipped."""

_NS = 1_000_000_000
_US = 1_000_000


def exact(number: float) -> Fraction:
    """Give the fraction that a float stands for: 1/3600 for ``1/3600``, not the binary number next to it."""
    simple = Fraction(number).limit_denominator(1_000_000)
    return simple if float(simple) == number else Fraction(number)


@dataclass(frozen=True, slots=True)
class Due:
    """Samples `first` to `stop` (not included) have come due.

    Parameters
    ----------
    first, stop : int
        Indices; sample 0 is the one at the start of the grid.
    gap : bool
        True where samples before `first` were skipped.
    """

    first: int
    stop: int
    gap: bool


class Pace:
    """Tells which samples have come due since it was last asked; none is named twice, none is left out.

    Sample k is at mesh time ``start_us`` + k/`rate` exactly, whoever asks and whenever, so that two machines with
    the same grid are in step. A pause longer than `CATCH_UP_S`, or a mesh clock that steps back by more, makes a gap.

    Parameters
    ----------
    clock : ClockPort
        The node's clocks.
    rate : Fraction
        Samples a second.
    start_us : int
        Mesh time of sample 0, in µs since the Unix epoch.
    end : int, optional
        How many samples there are; endless by default.
    """

    def __init__(self, clock: ClockPort, rate: Fraction, start_us: int = 0, end: int | None = None) -> None:
        self.spacing_ns = float(_NS / rate)
        self._clock = clock
        self._rate = rate
        self._start_us = start_us
        self._end = end
        self._most = math.ceil(rate * CATCH_UP_S)
        self._next: int | None = None
        self._zero_ns = 0

    def due(self) -> Due | None:
        """Give what has come due; the first time, the one sample that is due now, or nothing before the start."""
        now_ns = self._clock.monotonic_ns()
        since_us = self._clock.mesh_us(now_ns) - self._start_us
        self._zero_ns = now_ns - since_us * 1_000
        stop = since_us * self._rate.numerator // (_US * self._rate.denominator) + 1
        first = max(0, stop - 1) if self._next is None else self._next
        gap = abs(stop - first) > self._most
        if gap:
            first = max(0, stop - self._most if stop > first else stop - 1)
        if self._end is not None:
            stop = min(stop, self._end)
        self._next = max(first, stop)
        return Due(first, stop, gap) if stop > first else None

    def instant_ns(self, index: int) -> int:
        """Give the monotonic instant of a sample, by the clocks' relation at the last call of `due`."""
        return self._zero_ns + (index * _NS * self._rate.denominator) // self._rate.numerator
