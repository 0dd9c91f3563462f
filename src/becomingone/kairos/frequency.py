"""The frequency that a channel actually has inside its band."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.timing import Timing


class FrequencyTracker:
    """ω̂ = ω₀ + arg⟨z[n]·z*[n−1]·e^{−iω₀Δ}⟩/⟨Δ⟩, the means leaky with τ_C.

    The mean is weighted by power, so silence has no say, and z has its image removed first (at ω₀), which would
    otherwise bias ω̂ by |b/a|². At irregular spacing each product turns by (ω − ω₀)·Δₙ, so dividing by the mean
    spacing is exact to first order in that angle. The sample after a gap has no neighbour and is left out.
    """

    __slots__ = ("_previous", "_product", "_spacing", "_weight")

    def __init__(self) -> None:
        self._product: complex = 0.0
        self._previous: complex = 0.0
        self._spacing = 0.0
        self._weight = 0.0

    def omega(self, omega0: float) -> float:
        """Return ω̂ in rad/s; ω₀ while there is nothing to measure."""
        if self._product == 0.0 or self._spacing <= 0.0:
            return omega0
        return omega0 + cmath.phase(self._product) * self._weight / self._spacing

    def step(self, z: complex, timing: Timing) -> None:
        """Take the demodulator's output of one sample; 0 while the filter has not settled."""
        c, d = timing.undo_center
        now = c * z + d * z.conjugate()
        before = c * self._previous + d * self._previous.conjugate()
        product = now * before.conjugate() * timing.rotor.conjugate()
        alpha = timing.alpha_window
        self._product += alpha * (product - self._product)
        self._spacing += alpha * (timing.dt - self._spacing)
        self._weight += alpha * (1.0 - self._weight)
        self._previous = z

    def block(self, z: NDArray[np.complex128], timing: Timing, at: NDArray[np.intp]) -> NDArray[np.float64]:
        """Take the outputs of a block, shape (n,); return ω̂ in rad/s after each sample named in ``at``, shape (m,)."""
        n = z.shape[0]
        c, d = timing.undo_center
        line = np.empty(n + 1, dtype=np.complex128)
        line[0] = self._previous
        line[1:] = z
        line = c * line + d * np.conj(line)
        product = line[1:] * np.conj(line[:-1])
        product *= timing.rotor.conjugate()
        state = np.array([complex(self._product).real, complex(self._product).imag])
        means = timing.pole_window.run(np.stack((product.real, product.imag)), state)
        log_lambda = math.log1p(-timing.alpha_window) if timing.alpha_window < 1.0 else -math.inf
        steps = (at + 1) * log_lambda
        gained = -np.expm1(steps)
        spacing = np.exp(steps) * self._spacing + gained * timing.dt
        weight = np.exp(steps) * self._weight + gained
        end = n * log_lambda
        self._spacing = math.exp(end) * self._spacing - math.expm1(end) * timing.dt
        self._weight = math.exp(end) * self._weight - math.expm1(end)
        self._product = complex(means[0, -1], means[1, -1])
        self._previous = z[-1].item()
        angles = np.arctan2(means[1, at], means[0, at])
        return np.asarray(timing.omega0 + angles * weight / spacing, dtype=np.float64)

    def skip(self, seconds: float, tau: float) -> None:
        """Let time pass without samples: the means are held with less weight, the next product is left out."""
        decay = math.exp(-seconds / tau)
        self._product *= decay
        self._spacing *= decay
        self._weight *= decay
        self._previous = 0.0
