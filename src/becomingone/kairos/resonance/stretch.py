"""The weights of a stretch of uniform samples in a leaky sum, each turned by a frequency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from becomingone.kairos.resonance.rotor import turns

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Stretch:
    """g·λ^{n−1−k} for k = 0..n−1, plain and turned, with their sums.

    Parameters
    ----------
    n : int
        Samples, 1..65 536.
    gain : float
        g: α of a leaky mean, or 1 for a plain sum.
    log_lambda : float
        ln λ, ≤ 0; 0 for a plain sum.
    cycles : tuple of float
        νΔ/2π of each frequency.

    Attributes
    ----------
    window : ndarray of float, shape (n,)
    weights : ndarray of complex, shape (n_nu, n)
        ``window`` times e^{−iνkΔ}.
    decay : float
        λⁿ, what is left of the sum from before.
    total, square : float
        Σ and Σ of squares of ``window``.
    """

    __slots__ = ("decay", "square", "total", "weights", "window")

    def __init__(self, n: int, gain: float, log_lambda: float, cycles: tuple[float, ...]) -> None:
        self.window: NDArray[np.float64] = gain * np.exp(log_lambda * np.arange(n - 1, -1, -1))
        self.weights: NDArray[np.complex128] = self.window * np.stack([turns(cycle, n) for cycle in cycles])
        self.decay = math.exp(n * log_lambda)
        self.total = float(self.window.sum())
        self.square = float(self.window @ self.window)
