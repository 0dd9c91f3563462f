"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from becomingone.scheduling import NANOSECONDS

SMALL_CELL: Final = 100
"""Up to so many nodes, everybody is back within `SMALL_CAP_S` of a healed fault."""

SMALL_BASE_S: Final = 0.1
SMALL_CAP_S: Final = 2.0

LASTING_CAP_S: Final = 30.0
"""The window's least cap after a failure that trying again soon does not mend, such as a wrong password."""


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
    base_s: float = SMALL_BASE_S
    cap_s: float = SMALL_CAP_S
    failures: int = 0
    _window_s: float = 0.0

    def next_ns(self, *, lasting: bool = False) -> int:
        """Count a failure and give the nanoseconds to wait.

        Parameters
        ----------
        lasting : bool
            Whether trying again soon is in vain: the window then grows on, to at least `LASTING_CAP_S`.
        """
        cap = max(self.cap_s, LASTING_CAP_S) if lasting else self.cap_s
        self._window_s = min(cap, self.base_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return int(self.rng.uniform(0.0, self._window_s) * NANOSECONDS)

    def succeeded(self) -> None:
        """Start over."""
        self.failures = 0

    def held(self, nanoseconds: int) -> bool:
        """Start over if what succeeded has held for longer than the cap and than the last window; tell whether it has.

        A connection that breaks as soon as it stands, because two clients share an identifier or the broker throws
        this one out for what it sends, is no success: counted as one it would be tried again without a pause.
        """
        steady = nanoseconds >= max(self.cap_s, self._window_s) * NANOSECONDS
        if steady:
            self.failures = 0
        return steady

    def resize(self, nodes: int) -> None:
        """Set the pace for a cell of so many clients, at least 1; from the next failure on.

        Up to `SMALL_CELL` the window grows from 0.1 s to 2 s. Above, it is W = `nodes` / 50 s from the first failure
        on: 20 s for a thousand. A client whose broker is away for D < W has then made e^(D/W) attempts in the mean, the
        last of which succeeds (the renewal function of the uniform distribution is e^(D/W) - 1): fewer than 1.5 up
        to D = 0.4 W. Everybody is back by D + W, and at most 2 `nodes` / W = 100 attempts a second fall on the broker.
        """
        if nodes < 1:
            msg = f"a cell has at least 1 node, not {nodes}"
            raise ValueError(msg)
        small = nodes <= SMALL_CELL
        self.cap_s = SMALL_CAP_S if small else SMALL_CAP_S * nodes / SMALL_CELL
        self.base_s = SMALL_BASE_S if small else self.cap_s
