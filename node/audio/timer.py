"""When a sound card's blocks begin, by their count and the clock."""

from __future__ import annotations

import math


class BlockTimer:
    """Times blocks by their count, held to the measured times by a delay-locked loop.

    A sound server hands blocks over in bursts, so that single measurements are off by tens of ms, while the samples
    themselves are evenly spaced. The loop is F. Adriaensen's ("Using a DLL to filter time", 2005), of bandwidth
    `BANDWIDTH_HZ`.

    Parameters
    ----------
    block_ns : float
        Nominal length of a block, ns.
    """

    BANDWIDTH_HZ = 0.1
    RESET_NS = 250_000_000
    """A measurement further off than this is an interruption, not jitter."""

    SLIP_NS = 10_000_000
    SLIP_S = 0.5
    """Measurements that are all off to one side by more than `SLIP_NS` for so long are a step, not jitter: a sound
    server tells its delay wrongly, by up to 0.3 s, while a stream begins."""

    def __init__(self, block_ns: float) -> None:
        turn = 2.0 * math.pi * self.BANDWIDTH_HZ * block_ns / 1e9
        self._nominal = block_ns
        self._b = math.sqrt(2.0) * turn
        self._c = turn * turn
        self._next: float | None = None
        self._period = block_ns
        self._slips = 0
        self._most_slips = max(4, math.ceil(self.SLIP_S * 1e9 / block_ns))

    def start_ns(self, measured_ns: int, *, interrupted: bool) -> int:
        """Give the time of a block's first sample.

        Parameters
        ----------
        measured_ns : int
            What the clocks said when the block was handed over.
        interrupted : bool
            Whether samples were lost before it.
        """
        if self._next is None or interrupted or self._has_stepped(measured_ns - self._next):
            self._next, self._period, self._slips = float(measured_ns), self._nominal, 0
        start = self._next
        error = measured_ns - start
        self._next += self._period + self._b * error
        self._period += self._c * error
        return round(start)

    def _has_stepped(self, error_ns: float) -> bool:
        if abs(error_ns) < self.SLIP_NS:
            self._slips = 0
        elif (error_ns > 0) == (self._slips > 0):
            self._slips += 1 if error_ns > 0 else -1
        else:
            self._slips = 1 if error_ns > 0 else -1
        return abs(error_ns) > self.RESET_NS or abs(self._slips) >= self._most_slips
