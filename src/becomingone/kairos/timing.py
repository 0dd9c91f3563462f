"""Everything that follows from a band and a spacing alone: weights, rotors and tables, computed once per spacing."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from becomingone.kairos.onepole import OnePole, alpha_of
from becomingone.kairos.response import Response

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

Samples: TypeAlias = "NDArray[np.float64] | NDArray[np.complex128]"
"""A stretch of uniform samples, shape (n,)."""

MEAN_PER_TAU: Final = 8.0
MEAN_PERIODS: Final = 4.0
"""The slow mean is taken over max(8·τ, 4 periods)."""

CHUNK: Final = 2048
"""The longest stretch that is filtered at once; bounds the tables and the scratch memory."""


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
    alpha, alpha_mean, alpha_window : float
        Weights of a sample in each demodulating pole (τ), in the slow mean and in the coherence window (τ_C).
    rotor : complex
        e^{iω₀Δ}.
    undo_center : tuple of complex
        c and d of :meth:`Response.undo` at ω₀.
    still : tuple of complex
        What the two poles make of a constant 1 in the end: α/(1 − λe^{iω₀Δ}) and its square.
    """

    __slots__ = (
        "_dwindling",
        "_dwindling_mean",
        "_poles",
        "_rotors",
        "alpha",
        "alpha_mean",
        "alpha_window",
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
        self.alpha_window = alpha_of(dt, band.coherence_tau_s)
        self.rotor = cmath.exp(1j * band.omega * dt)
        self.response = Response(band.omega, dt, self.alpha, self.alpha_mean, real)
        self.undo_center: tuple[complex, complex] = self.response.undo(band.omega)
        still = self.alpha / (1.0 - (1.0 - self.alpha) * self.rotor)
        self.still: tuple[complex, complex] = (still, still * still)
        # Tables for the block path are made when a block first asks for them: a stream of single samples never does.
        self._poles: dict[float, OnePole] = {}
        self._rotors: NDArray[np.complex128] | None = None
        self._dwindling: NDArray[np.float64] | None = None
        self._dwindling_mean: NDArray[np.float64] | None = None

    def _pole(self, alpha: float) -> OnePole:
        pole = self._poles.get(alpha)
        if pole is None:
            pole = self._poles[alpha] = OnePole.leaky(alpha)
        return pole

    @property
    def pole(self) -> OnePole:
        """Block form of one demodulating pole."""
        return self._pole(self.alpha)

    @property
    def pole_mean(self) -> OnePole:
        """Block form of the slow mean."""
        return self._pole(self.alpha_mean)

    @property
    def pole_window(self) -> OnePole:
        """Block form of a leaky mean over τ_C."""
        return self._pole(self.alpha_window)

    def rotors(self, n: int) -> NDArray[np.complex128]:
        """e^{−iω₀Δk} for k = 1..n, n ≤ CHUNK."""
        if self._rotors is None:
            self._rotors = np.exp((-1j * self.omega0 * self.dt) * np.arange(1, CHUNK + 1))
        return self._rotors[:n]

    def window(self, n: int) -> tuple[NDArray[np.float64], float]:
        """α·λ^{n−k} for k = 1..n, and λⁿ, for the coherence window; n ≤ CHUNK."""
        if self._dwindling is None:
            self._dwindling = _dwindling(self.alpha_window)
        return self._dwindling[CHUNK - n :], _power(self.alpha_window, n)

    def window_mean(self, n: int) -> tuple[NDArray[np.float64], float]:
        """α·λ^{n−k} for k = 1..n, and λⁿ, for the slow mean; n ≤ CHUNK."""
        if self._dwindling_mean is None:
            self._dwindling_mean = _dwindling(self.alpha_mean)
        return self._dwindling_mean[CHUNK - n :], _power(self.alpha_mean, n)


def _power(alpha: float, n: int) -> float:
    """(1 − α)ⁿ."""
    return math.exp(n * math.log1p(-alpha)) if alpha < 1.0 else 0.0


def _dwindling(alpha: float) -> NDArray[np.float64]:
    """α·λ^j for j = CHUNK−1..0."""
    exponents = np.arange(CHUNK - 1, -1, -1, dtype=np.float64)
    exponents[:-1] *= math.log1p(-alpha) if alpha < 1.0 else -math.inf
    weights: NDArray[np.float64] = alpha * np.exp(exponents)
    return weights
