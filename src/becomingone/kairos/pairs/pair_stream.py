"""Pairwise measures of streams: every pair of channels, at every tick, over a leaky window.

One tick costs O(channels²) and no memory beyond the sums. What a figure is worth depends on how many independent
looks the window holds, so the autocorrelation of each channel is measured beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.onepole import alpha_of
from becomingone.kairos.pairs.pair_correlation import PairCorrelation
from becomingone.kairos.pairs.pair_products import gram, inverse, lag_sums, lag_sums_once, present, stacked
from becomingone.kairos.pairs.pairwise import PairMeasures

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH: Final = 1024
"""Ticks taken at a time: bounds the memory of a long block."""


HEAVIEST: Final = 1e6
"""The greatest weight a channel may have: its fourth power, with that of an amplitude, must not overflow."""

LIGHTEST: Final = 1e-9
"""Less counts as 0: it would vanish in the same way."""

_LONGEST: Final = 1e12
"""Ticks in a window at most; no clock is good for more."""

FADED: Final = 1e-100
"""Weight below which a pair counts as never seen: 230 τ after its last tick."""


@dataclass(frozen=True, slots=True)
class StreamSums:
    """What :class:`becomingone.kairos.pairs.pair_sums.Sums` asks for, at one tick; all (n_channels, n_channels)."""

    phase: NDArray[np.complex128]
    weight: NDArray[np.float64]
    square: NDArray[np.float64]
    correlation: NDArray[np.float64]
    cross: NDArray[np.complex128]
    power: NDArray[np.float64]
    lag: NDArray[np.float64]
    lag_modulus: NDArray[np.float64]
    lag_square: NDArray[np.float64]
    lag_sign: NDArray[np.float64]


class PairStream:
    """Streaming pairwise measures over uniform ticks.

    Each sum is leaky: a tick of age t weighs (1 − e^{−Δ/τ})·e^{−t/τ}. Ticks in which a channel has no phase are left
    out by its pairs alone.

    Parameters
    ----------
    channels : int
        Number of channels, ≥ 2.
    tau_s : float
        Time constant of the window in seconds, > 0, at most 1e12 ticks.
    spacing_s : float
        Seconds from tick to tick, > 0.
    correlation_s : float, optional
        Two-sided correlation time of a pair in seconds, > 0: ∫ρ_i·ρ_j* dt: of noise out of a band's filter
        2.5 times the filter's τ, of noise against a steady rhythm 4 times. Default: measured, over lags up to
        ``tau_s``.
    amplitude : bool
        Use z as it is. Otherwise (phase mode) z counts as z/|z|: then coherency is the complex phase-locking value,
        and wPLI weighs by |sin Δφ| alone.

    Raises
    ------
    KernelError
        When a parameter is out of its range.

    Notes
    -----
    Of channels whose rhythm outlasts the window, N_eff is near 1 and no chance level follows: they lock by chance. See
    :mod:`becomingone.kairos.pairs.surrogates`.
    """

    def __init__(
        self,
        channels: int,
        *,
        tau_s: float,
        spacing_s: float,
        correlation_s: float | None = None,
        amplitude: bool = False,
    ) -> None:
        if channels < 2:
            raise KernelError(f"channels is {channels!r}; a pair needs at least 2")
        if correlation_s is not None and not (math.isfinite(correlation_s) and correlation_s > 0.0):
            raise KernelError(f"correlation_s is {correlation_s!r}; it must be finite and above 0")
        self._alpha = alpha_of(spacing_s, tau_s)
        if tau_s > _LONGEST * spacing_s:
            raise KernelError(f"tau_s is {tau_s:g} s, more than {_LONGEST:g} ticks of {spacing_s:g} s")
        self._log_lambda = -spacing_s / tau_s
        self.channels = channels
        self.tau_s = tau_s
        self.spacing_s = spacing_s
        self.amplitude = amplitude
        self._given = None if correlation_s is None else max(1.0, correlation_s / spacing_s)
        self._clear()

    def _clear(self) -> None:
        shape = (self.channels, self.channels)
        self._phase: NDArray[np.complex128] = np.zeros(shape, dtype=np.complex128)
        self._cross: NDArray[np.complex128] = np.zeros(shape, dtype=np.complex128)
        # Σw, power, Im, |Im| and sgn Im decay by λ a tick; the two sums of squares by λ².
        self._linear: NDArray[np.float64] = np.zeros((5, *shape))
        self._squares: NDArray[np.float64] = np.zeros((2, *shape))
        self._full = 0.0
        self._correlation = PairCorrelation(self.channels, self.tau_s, self.spacing_s)

    def clear(self) -> None:
        """Forget everything that was measured."""
        self._clear()

    def tick(self, z: NDArray[np.complex128], weight: NDArray[np.float64] | None = None) -> None:
        """Take one tick.

        Parameters
        ----------
        z : ndarray of complex, shape (n_channels,)
            Phasors, or complex amplitudes in any unit. 0, NaN, infinities and what lies outside 1e-60..1e60: no phase.
        weight : ndarray of float, shape (n_channels,), optional
            Weight of each channel, 0..1e6; below 1e-9 it counts as 0. A pair's is the product. Default: 1.

        Raises
        ------
        KernelError
            When a shape is wrong or a weight out of its range. The state is then as before.
        """
        if z.ndim != 1:
            raise KernelError(f"a tick of shape {z.shape}; ({self.channels},) needed")
        self.block(z[None, :], None if weight is None else weight[None, :])

    def block(self, z: NDArray[np.complex128], weight: NDArray[np.float64] | None = None) -> None:
        """Take consecutive ticks: the same figures as tick by tick, to rounding.

        Parameters
        ----------
        z : ndarray of complex, shape (n_ticks, n_channels), n_ticks ≥ 1
            As for :meth:`tick`.
        weight : ndarray of float, shape (n_ticks, n_channels), optional
            As for :meth:`tick`.

        Raises
        ------
        KernelError
            When a shape is wrong or a weight out of its range. The state is then as before.
        """
        if z.ndim != 2 or z.shape[0] == 0 or z.shape[1] != self.channels:
            raise KernelError(f"ticks of shape {z.shape}; (n, {self.channels}) with n >= 1 needed")
        if weight is not None:
            if weight.shape != z.shape:
                raise KernelError(f"weights of shape {weight.shape} for ticks of shape {z.shape}")
            if not ((weight >= 0.0) & (weight <= HEAVIEST)).all():
                raise KernelError(f"a weight is not within 0..{HEAVIEST:g}")
        for start in range(0, z.shape[0], _BATCH):
            part = slice(start, start + _BATCH)
            self._take(np.asarray(z[part], dtype=np.complex128), None if weight is None else weight[part])

    def _take(self, z: NDArray[np.complex128], share: NDArray[np.float64] | None) -> None:
        z, modulus, _ = present(z)
        u = z * inverse(modulus)
        valid = (modulus > 0.0).astype(np.float64)
        x, size = (z, modulus) if self.amplitude else (u, valid)
        n = z.shape[0]
        weights = self._alpha * np.exp(np.arange(n - 1, -1, -1, dtype=np.float64) * self._log_lambda)
        mask = valid if share is None else valid * np.where(share >= LIGHTEST, share, 0.0)
        # w·a·b* of a pair is (√w·a)·(√w·b)*, which keeps the products exactly Hermitian.
        root = np.sqrt(weights)[:, None] * mask
        twice = weights[:, None] * (mask * mask)
        self._fade(math.exp(n * self._log_lambda))
        self._phase += gram(stacked(u, root))
        if self.amplitude:
            self._cross += gram(stacked(x, root))
        self._linear[0] += root.T @ root
        self._linear[1] += (size * size * root).T @ root
        self._squares[0] += twice.T @ twice
        if n == 1:
            lags = lag_sums_once(x[0], size[0], float(weights[0]), None if share is None else mask[0])
        else:
            lags = lag_sums(x, size, weights, None if share is None else mask)
        self._linear[2] += lags[0]
        self._linear[3] += lags[1]
        self._linear[4] += lags[3]
        self._squares[1] += lags[2]
        if self._given is None:
            self._correlation.take(x)

    def _fade(self, decay: float) -> None:
        """Let all weights decay."""
        self._phase *= decay
        self._cross *= decay
        self._linear *= decay
        self._squares *= decay * decay
        self._full += (1.0 - decay) * (1.0 - self._full)

    def skip(self, seconds: float) -> None:
        """Let time pass without ticks: all weights fade, the figures and their N_eff stay (for 230 τ).

        Parameters
        ----------
        seconds : float
            ≥ 0 and finite.

        Raises
        ------
        KernelError
            When it is negative or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0.0):
            raise KernelError(f"skip of {seconds!r} s; it must be finite and at least 0")
        self._fade(math.exp(-seconds / self.tau_s))
        if self._given is None:
            self._correlation.skip(seconds)

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Share of the window in which both of a pair had a phase (times their weights), (n_channels, n_channels)."""
        return self._linear[0] / self._full if self._full > 0.0 else np.zeros((self.channels, self.channels))

    def measures(self) -> PairMeasures:
        """Return all measures as they stand after the latest tick; later ticks do not change them."""
        weight, power, lag, lag_modulus, lag_sign = self._linear.copy()
        square, lag_square = self._squares.copy()
        faded = weight < FADED
        weight[faded] = 0.0
        power[faded] = 0.0
        shape = (self.channels, self.channels)
        phase = self._phase.copy()
        return PairMeasures(
            StreamSums(
                phase=phase,
                weight=weight,
                square=square,
                correlation=self._correlation.factor() if self._given is None else np.full(shape, self._given),
                cross=self._cross.copy() if self.amplitude else phase,
                power=power,
                lag=lag,
                lag_modulus=lag_modulus,
                lag_square=lag_square,
                lag_sign=lag_sign,
            )
        )
