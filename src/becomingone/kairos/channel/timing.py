"""Everything that follows from a band and a spacing alone: weights, rotors and tables, computed once per spacing."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from becomingone.kairos.channel.cascade import Cascade
from becomingone.kairos.channel.response import Response
from becomingone.kairos.onepole import alpha_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

Samples: TypeAlias = "NDArray[np.float64] | NDArray[np.complex128]"
"""A stretch of uniform samples, shape (n,)."""

MEAN_PER_TAU: Final = 8.0
MEAN_PERIODS: Final = 4.0
"""The slow mean is taken over max(8·τ, 4 periods)."""

TURNS: Final = 256
"""Rotors kept as numbers for the sample-by-sample path; after as many samples its frame starts anew."""


def mean_tau_of(band: Band) -> float:
    """Time constant of the slow mean in seconds: max(8·τ, 4 periods)."""
    return max(MEAN_PER_TAU * band.tau_s, MEAN_PERIODS * band.period_s)


class Timing:
    """Constants of one channel at one spacing.

    Parameters
    ----------
    band : Band
    dt : float
        Spacing in seconds, > 0.
    real : bool
        Whether the input is real.

    Attributes
    ----------
    dt : float
    omega0 : float
        ω₀ in rad/s.
    alpha, alpha_mean : float
        Weights of a sample in each demodulating pole (τ) and in the slow mean.
    rotor : complex
        e^{iω₀Δ}.
    undo_center : tuple of complex
        c and d of :meth:`Response.undo` at ω₀.
    still : tuple of complex
        What the two poles make of a constant 1 in the end: α/(1 − λe^{iω₀Δ}) and its square.
    """

    __slots__ = (
        "_cascade",
        "_log_lambda",
        "_log_mean",
        "_turns",
        "alpha",
        "alpha_mean",
        "dt",
        "omega0",
        "response",
        "rotor",
        "still",
        "undo_center",
    )

    def __init__(self, band: Band, dt: float, *, real: bool) -> None:
        self.dt = dt
        self.omega0 = band.omega
        self.alpha = alpha_of(dt, band.tau_s)
        self.alpha_mean = alpha_of(dt, mean_tau_of(band))
        self._log_lambda = -dt / band.tau_s if self.alpha < 1.0 else -math.inf
        self._log_mean = -dt / mean_tau_of(band) if self.alpha_mean < 1.0 else -math.inf
        self.rotor = cmath.exp(1j * band.omega * dt)
        self.response = Response(band.omega, dt, self.alpha, self.alpha_mean, real)
        self.undo_center: tuple[complex, complex] = self.response.undo(band.omega)
        still = self.alpha / (1.0 - (1.0 - self.alpha) * self.rotor)
        self.still: tuple[complex, complex] = (still, still * still)
        # Tables are made when first asked for: a stream of single, irregular samples never does.
        self._cascade: Cascade | None = None
        self._turns: tuple[list[complex], list[complex]] | None = None

    @property
    def cascade(self) -> Cascade:
        """Block form of the demodulating filter."""
        if self._cascade is None:
            angle = self.omega0 * self.dt
            self._cascade = Cascade(self._log_lambda, angle, self.alpha, self._log_mean, self.alpha_mean, self.still[1])
        return self._cascade

    @property
    def turns(self) -> tuple[list[complex], list[complex]]:
        """e^{−iω₀Δk} and e^{iω₀Δk} for k = 0..TURNS."""
        if self._turns is None:
            forward = np.exp((1j * self.omega0 * self.dt) * np.arange(TURNS + 1))
            self._turns = (np.conj(forward).tolist(), forward.tolist())
        return self._turns

    def fading(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """λ^k of the demodulating poles, shape of ``k``."""
        return np.asarray(np.exp(k * self._log_lambda), dtype=np.float64)

    def fading_mean(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """λ^k of the slow mean, shape of ``k``."""
        return np.asarray(np.exp(k * self._log_mean), dtype=np.float64)
