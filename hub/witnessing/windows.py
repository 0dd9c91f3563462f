"""Windows of innovations: each channel's last few, taken together, apart from those of the window before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Closed(NamedTuple):
    """Windows that are complete, each figure of shape (n,).

    Parameters
    ----------
    places : ndarray of int
        Whose.
    nis : ndarray of float
        Mean of z².
    rho : ndarray of float
        Σz_t·z_{t−1}/Σz².
    mean : ndarray of float
        Mean of z times √n: a standard normal deviate in health.
    spread : ndarray of float
        Σ(z − z̄)²/(n − 1).
    claimed : ndarray of float
        Mean of e²/σ² with the σ that the node claims.
    """

    places: NDArray[np.intp]
    nis: NDArray[np.float64]
    rho: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    claimed: NDArray[np.float64]


_N, _SUM, _SQUARES, _PRODUCTS, _BEFORE, _CLAIMED = range(6)


class Windows:
    """Sums over windows, by place.

    Parameters
    ----------
    length : int
        Values in a window.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._sums: NDArray[np.float64] = np.zeros((0, 6))

    def grow(self, size: int) -> None:
        """Make at least this many places; each begins at another point of its first window.

        So not all of them end at once, and the work is spread.
        """
        have = len(self._sums)
        if size > have:
            self._sums = np.concatenate((self._sums, np.zeros((size - have, 6))))
            self._sums[have:, _N] = -(np.arange(have, size) % self._length)

    def empty(self, places: NDArray[np.intp]) -> None:
        """Begin anew."""
        self._sums[places] = 0.0

    def fill(self, places: NDArray[np.intp], z: NDArray[np.float64], claimed: NDArray[np.float64]) -> Closed | None:
        """Take a value of each place; give the windows that are complete with it.

        Parameters
        ----------
        places : ndarray of int, shape (n,)
            Each at most once.
        z : ndarray of float, shape (n,)
            Normalised innovations.
        claimed : ndarray of float, shape (n,)
            e²/σ² with the claimed σ.
        """
        sums = self._sums[places]
        counts = sums[:, _N] >= 0.0
        value = np.where(counts, z, 0.0)
        sums[:, _N] += 1.0
        sums[:, _SUM] += value
        sums[:, _SQUARES] += value * value
        sums[:, _PRODUCTS] += value * sums[:, _BEFORE]
        sums[:, _BEFORE] = value
        sums[:, _CLAIMED] += np.where(counts, claimed, 0.0)
        full = sums[:, _N] >= self._length
        closed: Closed | None = None
        if full.any():
            n = float(self._length)
            done = sums[full]
            squares = done[:, _SQUARES]
            mean = done[:, _SUM] / n
            closed = Closed(
                places[full],
                squares / n,
                np.divide(done[:, _PRODUCTS], squares, out=np.zeros(len(done)), where=squares > 0.0),
                mean * np.sqrt(n),
                np.maximum(0.0, squares - n * mean * mean) / (n - 1.0),
                done[:, _CLAIMED] / n,
            )
            sums[full] = 0.0
        self._sums[places] = sums
        return closed
