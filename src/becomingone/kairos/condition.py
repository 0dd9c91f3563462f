"""The slow mean of a sensor, to be taken away before its rhythm is looked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from becomingone.kairos.timing import Samples, Timing


class Conditioner:
    """Keep a leaky mean of the input, and the power of what is left beside it.

    The mean is a leaky sum divided by the sum of its weights, so it is unbiased from the first sample on, and it is
    held, not pulled towards zero, while samples are missing. Everything is reckoned from x₀, the first sample: a
    constant input gives exactly 0 and an air pressure of 101 325 Pa costs no digits.

    The mean is not subtracted here but after the filter (:class:`becomingone.kairos.demodulate.Demodulator`), from
    the whole past at once. Subtracted sample by sample, the mean of the first half period would be that of the
    oscillation itself, and the error would stay in the filter for seconds and in the frequency for minutes.
    """

    __slots__ = ("_origin", "_power", "_sum", "_weight")

    def __init__(self) -> None:
        self._origin: complex | None = None
        self._sum: complex = 0.0
        self._weight = 0.0
        self._power = 0.0

    @property
    def power(self) -> float:
        """Leaky mean of |x − mean|² in sensor units squared, over the same time as the mean; 0 before any sample."""
        return self._power / self._weight if self._weight > 0.0 else 0.0

    def step(self, x: complex, timing: Timing) -> tuple[complex, complex]:
        """Take one finite sample, float or complex; return x − x₀ and the mean of that."""
        if self._origin is None:
            self._origin = x
        alpha = timing.alpha_mean
        y = x - self._origin
        self._sum += alpha * (y - self._sum)
        self._weight += alpha * (1.0 - self._weight)
        mean = self._sum / self._weight
        self._power += alpha * (abs(y - mean) ** 2 - self._power)
        return y, mean

    def block(self, x: Samples, timing: Timing) -> tuple[Samples, Samples]:
        """Take uniform finite samples, shape (n,); return x − x₀ and its mean after each, alike."""
        is_complex = np.iscomplexobj(x)
        origin: complex = x[0].item() if self._origin is None else self._origin
        self._origin = origin
        n = x.shape[0]
        y: Samples = np.subtract(x, origin if is_complex else origin.real, dtype=x.dtype)
        start = complex(self._sum)
        signals = np.ones((3 if is_complex else 2, n))
        signals[0] = y.real
        if is_complex:
            signals[1] = y.imag
            state = np.array([start.real, start.imag, self._weight])
        else:
            state = np.array([start.real, self._weight])
        filtered = timing.pole_mean.run(signals, state)
        total: Samples = filtered[0] + 1j * filtered[1] if is_complex else filtered[0]
        mean: Samples = total / filtered[-1]
        self._sum = total[-1].item()
        self._weight = float(filtered[-1, -1])
        rest = y - mean
        window, decay = timing.window_mean(n)
        self._power = decay * self._power + float(window @ (rest.real**2 + rest.imag**2))
        return y, mean

    def skip(self, seconds: float, tau: float) -> None:
        """Let time pass without samples: sums and weights decay together, so the mean is held."""
        decay = math.exp(-seconds / tau)
        self._sum *= decay
        self._weight *= decay
        self._power *= decay
