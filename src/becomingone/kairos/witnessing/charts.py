"""Cumulative sums of many rows at once: `drift.Drift`, a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from becomingone.kairos.witnessing.drift import SLACK

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Charts:
    """Two-sided cumulative sums, by row; each that learns its reference does as `Drift` does.

    The threshold is given at each update (`drift.threshold_for`), because how often a cell of many rows cries wolf
    depends on how many there are.
    """

    def __init__(self) -> None:
        self._sums: NDArray[np.float64] = np.zeros((0, 4))

    def grow(self, size: int) -> None:
        """Make at least this many rows."""
        more = size - len(self._sums)
        if more > 0:
            self._sums = np.concatenate((self._sums, np.zeros((more, 4))))

    def clear(self, rows: NDArray[np.intp]) -> None:
        """Forget the references and the sums."""
        self._sums[rows] = 0.0

    def level(self, threshold: float) -> float:
        """Return the largest sum over the threshold, 0..1."""
        return float(self._sums[:, :2].max(initial=0.0)) / threshold

    def update(
        self, rows: NDArray[np.intp], value: NDArray[np.float64], sigma: NDArray[np.float64], threshold: float
    ) -> NDArray[np.bool_]:
        """Take values with their standard deviations, > 0, by a reference that is learnt; whether each alarms."""
        n: NDArray[np.float64] = self._sums[rows, 2] + 1.0
        mean: NDArray[np.float64] = self._sums[rows, 3]
        deviate: NDArray[np.float64] = np.asarray((value - mean) * np.sqrt((n - 1.0) / n) / sigma, dtype=np.float64)
        self._sums[rows, 2] = n
        self._sums[rows, 3] = mean + (value - mean) / n
        return self._take(rows, deviate, np.asarray(n > 1.0, dtype=np.bool_), threshold)

    def update_known(self, rows: NDArray[np.intp], deviate: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """Take standard normal deviates, of which the reference is 0; whether each alarms."""
        return self._take(rows, deviate, np.ones(deviate.shape, dtype=np.bool_), threshold)

    def _take(
        self, rows: NDArray[np.intp], deviate: NDArray[np.float64], counts: NDArray[np.bool_], threshold: float
    ) -> NDArray[np.bool_]:
        before = self._sums[rows, :2]
        sums = np.maximum(0.0, before + np.column_stack((deviate, -deviate)) - SLACK, dtype=np.float64)
        sums[~counts] = before[~counts]
        self._sums[rows, :2] = sums
        alarm: NDArray[np.bool_] = sums.max(axis=1, initial=0.0) > threshold
        if alarm.any():
            self._sums[rows[alarm]] = 0.0
        return alarm
