"""What a bank of witnesses keeps of each row, and what a step of it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS: Final = {
    "begun": np.bool_,
    "last": np.complex128,
    "carry": np.float64,
    "tangent": np.float64,
    "spread": np.float64,
    "missing": np.int64,
    "gain": np.float64,
    "scale": np.float64,
    "learnt_from": np.float64,
    "epoch": np.int64,
    # The stretch.
    "n": np.int64,
    "pairs": np.int64,
    "squares": np.float64,
    "products": np.float64,
    "same": np.float64,
    "tangents": np.float64,
    "chained": np.bool_,
    "before": np.float64,
    "before_tangent": np.float64,
    # What its latest end has said.
    "gain_used": np.float64,
    "rho": np.float64,
    "mean_square": np.float64,
    "slope": np.float64,
    "lipschitz": np.float64,
    "misfit": np.bool_,
}
"""The figures of a row and their types."""


class BankStep(NamedTuple):
    """What a step has found, each of shape (n,).

    Parameters
    ----------
    innovation : ndarray of float
        rad, −π..π; 0 where there is none.
    normalised : ndarray of float
        Innovation over its expected standard deviation; 0 where it is not valid.
    valid : ndarray of bool
        Whether there is an innovation, and a scale to measure it by.
    ended : ndarray of bool
        Whether an epoch has ended with this step, and said something: ``rho``, ``mean_square`` and ``slope`` are new.
    """

    innovation: NDArray[np.float64]
    normalised: NDArray[np.float64]
    valid: NDArray[np.bool_]
    ended: NDArray[np.bool_]
