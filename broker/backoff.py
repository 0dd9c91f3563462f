"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from dataclasses import dataclass

from becomingone.scheduling import NANOSECONDS


@dataclass(slots=True)
class Backoff:
    """Exponential back-off with full jitter: uniform in 0..min(cap, base·2ⁿ).

    Full jitter spreads the clients of a restarted broker over the whole window, with the fewest attempts of the
    usual schemes (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Parameters
    ----------
    rng : random.Random
        Passed in, so that a run can be replayed.
    base_s, cap_s : float
        The window's first and greatest length, in seconds.
    """

    rng: random.Random
    base_s: float = 0.1
    cap_s: float = 2.0
    failures: int = 0

    def next_ns(self) -> int:
        """Count a failure and give the nanoseconds to wait."""
        window = min(self.cap_s, self.base_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return int(self.rng.uniform(0.0, window) * NANOSECONDS)

    def succeeded(self) -> None:
        """Start over."""
        self.failures = 0
