"""Slow change: a cumulative sum that needs no reference and states how often it cries wolf."""

from __future__ import annotations

import math
from typing import Final

from becomingone.errors import KernelError

SLACK: Final = 0.25
"""Half the shift, in standard deviations, that is found soonest: slow drifts begin small."""

_OVERSHOOT: Final = 1.166
_SIDES: Final = 2.0


def run_length(threshold: float, slack: float = SLACK) -> float:
    """Mean number of updates until a one-sided sum of normal deviates passes the threshold by chance.

    (e^{2kb} − 2kb − 1)/(2k²) with b = h + 1.166 (D. Siegmund, Sequential Analysis, 1985, ch. X).
    """
    exponent = 2.0 * slack * (threshold + _OVERSHOOT)
    return (math.expm1(exponent) - exponent) / (2.0 * slack * slack)


def threshold_for(updates: float, slack: float = SLACK) -> float:
    """Return the threshold h whose :func:`run_length` is this many updates."""
    low, high = 0.0, 1.0
    while run_length(high, slack) < updates:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if run_length(middle, slack) >= updates else (middle, high)
    return high


class Drift:
    """A two-sided cumulative sum that learns its reference as it goes.

    The n-th value less the mean of those before it, times √((n − 1)/n)/σ, is a standard normal deviate independent of
    the earlier ones while nothing changes (D. M. Hawkins, Self-starting cusum charts for location and scale, The
    Statistician 36, 1987, here with σ known). Page's sums of these, with slack 0.25, are compared with a threshold.
    After an alarm everything starts anew, with what is then the case as the reference.

    Parameters
    ----------
    updates : float
        Mean number of updates between false alarms, both sides together, ≥ 10.

    Raises
    ------
    KernelError
        When it is not finite and at least 10.
    """

    __slots__ = ("_down", "_mean", "_n", "_threshold", "_up")

    def __init__(self, updates: float) -> None:
        if not (math.isfinite(updates) and updates >= 10.0):
            raise KernelError(f"mean number of updates between false alarms is {updates!r}; it must be at least 10")
        self._threshold = threshold_for(_SIDES * updates)
        self.clear()

    def clear(self) -> None:
        """Forget the reference and the sums."""
        self._n = 0
        self._mean = 0.0
        self._up = 0.0
        self._down = 0.0

    @property
    def level(self) -> float:
        """The larger sum over its threshold, 0..1."""
        return max(self._up, self._down) / self._threshold

    def update(self, value: float, sigma: float) -> bool:
        """Take one value with its standard deviation, > 0; return whether this raises the alarm."""
        self._n += 1
        if self._n > 1:
            deviate = (value - self._mean) * math.sqrt((self._n - 1) / self._n) / sigma
            self._up = max(0.0, self._up + deviate - SLACK)
            self._down = max(0.0, self._down - deviate - SLACK)
        self._mean += (value - self._mean) / self._n
        if max(self._up, self._down) <= self._threshold:
            return False
        self.clear()
        return True
