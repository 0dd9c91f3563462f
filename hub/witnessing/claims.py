"""Whether what a node says of its own certainty can be true, window by window."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.kairos.witnessing.tails import nis_p

KEPT: Final = 16
"""Windows that are looked at together."""

LEAST: Final = 4
"""Windows before anything is said."""

MARGIN: Final = 1.5
"""Honest channels' innovations have up to 1.1 times the variance that their node claims (measured; a wandering rhythm
has 0.4); so much is let pass."""

RHYTHMLESS_MARGIN: Final = 2.0
"""N_eff is never too great (docs/kernel.md), so noise may show an −ln p that is smaller than it should, by as much."""

_DROPPED: Final = 4
"""One window in so many, the worst, does not count: coherence is a mean over the past, so for some time after a rhythm
has stopped every honest node claims too much."""


class Claim(NamedTuple):
    """A claim that is not believed.

    Parameters
    ----------
    place : int
        Whose.
    what : str
        ``sigma``: the phase is less certain than claimed; ``p``: no signal, and no noise, has such probabilities.
    ratio : float
        Observed variance over the claimed one; or the mean −ln p, which is 1 for noise and more for a rhythm.
    p : float
        Probability of that from an honest node.
    """

    place: int
    what: str
    ratio: float
    p: float


class Claims:
    """The last windows of each place.

    Parameters
    ----------
    window : int
        Innovations in a window.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._ratios: NDArray[np.float64] = np.zeros((0, KEPT))
        self._log_p: NDArray[np.float64] = np.zeros((0, KEPT))
        self._count: NDArray[np.int64] = np.zeros(0, np.int64)

    def grow(self, size: int) -> None:
        """Make at least this many places."""
        more = size - len(self._count)
        if more > 0:
            self._ratios = np.concatenate((self._ratios, np.zeros((more, KEPT))))
            self._log_p = np.concatenate((self._log_p, np.zeros((more, KEPT))))
            self._count = np.concatenate((self._count, np.zeros(more, np.int64)))

    def forget(self, places: NDArray[np.intp]) -> None:
        """Forget what was claimed."""
        self._count[places] = 0

    def take(
        self, places: NDArray[np.intp], ratio: NDArray[np.float64], p: NDArray[np.float64], limit: NDArray[np.float64]
    ) -> list[Claim]:
        """Take windows that are complete; give the claims whose probability is below the limit.

        Parameters
        ----------
        places : ndarray of int, shape (n,)
        ratio : ndarray of float, shape (n,)
            Mean of e²/σ² in the window.
        p : ndarray of float, shape (n,)
            The probability that the channel's last frame names for its coherence, 0..1; NaN where it named none.
        limit : ndarray of float, shape (n,)
            0..1.
        """
        at = self._count[places] % KEPT
        self._ratios[places, at] = ratio
        self._log_p[places, at] = -np.log(np.maximum(p, 1e-300))
        self._count[places] += 1
        out: list[Claim] = []
        for what, suspects in (("sigma", self._overstated(places)), ("p", self._impossible(places))):
            out.extend(Claim(int(places[k]), what, value, chance) for k, value, chance in suspects if chance < limit[k])
        return out

    def _overstated(self, places: NDArray[np.intp]) -> list[tuple[int, float, float]]:
        count = np.minimum(self._count[places], KEPT)
        ordered = np.sort(np.where(np.arange(KEPT) < count[:, None], self._ratios[places], math.inf), axis=1)
        kept = count - count // _DROPPED
        inside = np.arange(KEPT) < kept[:, None]
        mean = np.where(inside, ordered, 0.0).sum(axis=1) / kept
        out: list[tuple[int, float, float]] = []
        for k in np.flatnonzero((count >= LEAST) & (mean > MARGIN)).tolist():
            p = 0.5 * nis_p(float(mean[k]) / MARGIN, int(kept[k]) * self._window)
            out.append((k, float(mean[k]), p))
        return out

    def _impossible(self, places: NDArray[np.intp]) -> list[tuple[int, float, float]]:
        """Look for p that are too great: −ln p of noise is exponential with mean 1, and a rhythm's is more."""
        full = self._count[places] >= KEPT
        total = self._log_p[places].sum(axis=1)
        out: list[tuple[int, float, float]] = []
        for k in np.flatnonzero(full & (total < KEPT / RHYTHMLESS_MARGIN)).tolist():
            p = _gamma_below(KEPT, RHYTHMLESS_MARGIN * float(total[k]))
            out.append((k, float(total[k]) / KEPT, p))
        return out


def _gamma_below(shape: int, x: float) -> float:
    """Probability that the sum of so many exponential values of mean 1 is at most x: the Poisson tail."""
    term = math.exp(-x + shape * math.log(max(x, 1e-300)) - math.lgamma(shape + 1.0))
    total = 0.0
    for k in range(shape, shape + 200):
        total += term
        term *= x / (k + 1.0)
    return min(1.0, total)
