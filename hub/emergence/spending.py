"""How much doubt a look may use up, so that watching for ever does not find chance in the end."""

from __future__ import annotations

from typing import Final

SHARE: Final = 1.0 / 8.0
"""Part of what is left that a look may spend."""


class Spending:
    """An allowance of probability that comes in with time.

    Half of `p_false` is there at first and comes in again within every window; never more than half is saved. So at
    most `p_false` is spent in any span of a window's length, and by G. Boole's inequality the probability that chance
    passes any of the looks in it is no greater, however they overlap.

    Parameters
    ----------
    p_false : float
        Probability of a false alarm within one window, 0..1.
    window_s : float
        The window, s.
    """

    def __init__(self, p_false: float, window_s: float) -> None:
        self._most = 0.5 * p_false
        self._rate = self._most / window_s
        self._left = self._most
        self._last_us: int | None = None
        self.spent = 0.0

    @property
    def false_alarm_s(self) -> float:
        """Mean time between false alarms, s: at least this, in the long run."""
        return 1.0 / self._rate

    def offer(self, now_us: int) -> float:
        """Give what a look may spend now; mesh time in µs, and none comes in while it goes back."""
        if self._last_us is not None and now_us > self._last_us:
            self._left = min(self._most, self._left + self._rate * (now_us - self._last_us) / 1e6)
        self._last_us = now_us
        return SHARE * self._left

    def spend(self, amount: float) -> None:
        """Take note that a look has spent this much."""
        self._left -= amount
        self.spent += amount
