"""The general temporal resonance T_τ: any number of lags and of cycle frequencies, auto and cross, streaming.

    T(L, ν) = e^{−iω₀LΔ} · ⟨z[n]·y*[n−L]·e^{−iνnΔ}⟩ / √(⟨|z[n]|²⟩·⟨|y[n−L]|²⟩)

over the pairs of which both samples are there: the lag-normalised cyclic (cross-)autocorrelation (W. A. Gardner,
IEEE Signal Processing Magazine 8(2), 1991, 14), turned so that a tone at ω₀ gives exactly 1 at every lag. The three
means have the same weights, so |T| ≤ 1 by Cauchy-Schwarz, and their common start-up factor 1 − λⁿ cancels.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.onepole import alpha_of
from becomingone.kairos.resonance.lag_ring import CHUNK, LagRing, as_stream, usable, usable_one
from becomingone.kairos.resonance.rotor import cycles_of, turn
from becomingone.kairos.resonance.stretch import Stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

_FADED: Final = 1e-280
"""Weight below which what is left of a sum has lost its digits."""

_TABLES: Final = 4


class Mode(StrEnum):
    """What of a sample enters: its phase alone, or its amplitude as well."""

    PHASE = "phase"
    AMPLITUDE = "amplitude"


class TemporalResonances:
    """T(L, ν) of one stream, or of one stream with another's past; O(1) a sample for each (lag, ν), constant memory.

    Parameters
    ----------
    lags : sequence of int
        L in samples, each ≥ 0. Memory is 1.5 times the largest, at least 8,192 more, at 24 or 32 bytes.
    nu : sequence of float
        Cycle frequencies ν in rad/s, |ν| ≤ π/Δ; (0,) is the plain autocorrelation.
    spacing_s : float
        Spacing Δ of the samples in seconds, > 0.
    omega0 : float
        ω₀ in rad/s, |ω₀| ≤ π/Δ: the frequency at which a tone resonates with phase 0 at every lag.
    tau_s : float or None
        Time constant of the exponential window in seconds, > 0; None weighs all pairs alike, for ever.
    mode : Mode
        In phase mode z and y are reduced to unit phasors first; a sample of 0 then has no phase and makes no pair.

    Raises
    ------
    KernelError
        When a value is out of its range, or there is no lag or no ν.

    Notes
    -----
    n counts from 0 at the first sample, skipped ones included; arg T at ν ≠ 0 is relative to that instant. The mean
    of few pairs is near 1 whatever they are (of one pair it is 1): see :attr:`effective_pairs`. Lags shorter than
    the memory of the filter that made z (2πτ) measure that filter.
    """

    def __init__(
        self,
        lags: Sequence[int],
        nu: Sequence[float] = (0.0,),
        *,
        spacing_s: float,
        omega0: float = 0.0,
        tau_s: float | None = None,
        mode: Mode = Mode.PHASE,
    ) -> None:
        if not lags or not nu:
            raise KernelError("at least one lag and one cycle frequency are needed")
        if any(int(lag) != lag or lag < 0 for lag in lags):
            raise KernelError(f"lags are {list(lags)!r}; each must be a whole number of samples, at least 0")
        self._cycles = cycles_of(nu, spacing_s)
        (carrier,) = cycles_of((omega0,), spacing_s)
        self._gain = 1.0 if tau_s is None else alpha_of(spacing_s, tau_s)
        self._log_lambda = 0.0 if tau_s is None else -spacing_s / tau_s
        self._keep = math.exp(self._log_lambda)
        self._phase = Mode(mode) is Mode.PHASE
        self._lags: NDArray[np.intp] = np.array([int(lag) for lag in lags], dtype=np.intp)
        self._align: NDArray[np.complex128] = np.array([turn(carrier, int(lag)) for lag in lags])
        self._reach = int(self._lags.max())
        self._stretches: dict[int, Stretch] = {}
        self.clear()

    @classmethod
    def of_band(
        cls,
        band: Band,
        spacing_s: float,
        *,
        lags_s: Sequence[float] | None = None,
        nu: Sequence[float] = (0.0,),
        mode: Mode = Mode.PHASE,
    ) -> Self:
        """Make one for a band: ω₀ and the window from the band, L = round(τ̄/Δ).

        Parameters
        ----------
        band : Band
        spacing_s : float
            Spacing Δ in seconds, > 0.
        lags_s : sequence of float, optional
            τ̄ in seconds, each ≥ 2πτ; default: the band's own.
        nu, mode
            As for the class.

        Raises
        ------
        KernelError
            When a value is out of its range.
        """
        lags_s = (band.lag_s,) if lags_s is None else lags_s
        cycles_of((), spacing_s)
        shortest = 2.0 * math.pi * band.tau_s
        for lag in lags_s:
            if not (math.isfinite(lag) and lag >= shortest * (1.0 - 1e-9)):
                raise KernelError(f"lag is {lag!r} s; in band {band.name} it must be at least 2πτ = {shortest:g} s")
        whole = [max(1, round(lag / spacing_s)) for lag in lags_s]
        return cls(whole, nu, spacing_s=spacing_s, omega0=band.omega, tau_s=band.coherence_tau_s, mode=mode)

    def clear(self) -> None:
        """Forget everything that was measured."""
        lags = self._lags.shape[0]
        self._ring = LagRing(self._reach, powers=not self._phase)
        self._count = 0
        self._sum: NDArray[np.complex128] = np.zeros((lags, len(self._cycles)), dtype=np.complex128)
        # Rows: weight of the pairs, their squared weight, and in amplitude mode ⟨|z|²⟩ and ⟨|y|²⟩.
        self._norms: NDArray[np.float64] = np.zeros((2 if self._phase else 4, lags))

    @property
    def count(self) -> int:
        """Samples so far, missing and skipped ones included."""
        return self._count

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weight of the pairs at each lag, shape (n_lags,): 0..1 of a full window; without a window their number."""
        return np.array(self._norms[0])

    @property
    def effective_pairs(self) -> NDArray[np.float64]:
        """(Σw)²/Σw² of the pairs at each lag, shape (n_lags,), ≥ 0: how many equally weighted ones they amount to.

        What N_eff would be if the pairs were independent; behind a filter they are not (Bartlett's sum applies).
        """
        weight, square = self._norms[0], self._norms[1]
        pairs: NDArray[np.float64] = np.divide(weight * weight, square, out=np.zeros_like(weight), where=square > 0.0)
        return pairs

    @property
    def resonance(self) -> NDArray[np.complex128]:
        """T(L, ν) after the last sample, shape (n_lags, n_nu), modulus 0..1; 0 where there is no pair."""
        norm = self._norms[0] if self._phase else np.sqrt(self._norms[2]) * np.sqrt(self._norms[3])
        known = (self._norms[0] > _FADED) & (norm > 0.0)
        out: NDArray[np.complex128] = np.zeros_like(self._sum)
        np.divide(self._sum * self._align[:, None], norm[:, None], out=out, where=known[:, None])
        out /= np.maximum(np.abs(out), 1.0)
        return out

    def block(self, z: NDArray[np.complex128], y: NDArray[np.complex128] | None = None) -> None:
        """Take samples that follow directly on the previous ones.

        Parameters
        ----------
        z : ndarray of complex, shape (n,), n ≥ 1
            NaN, infinities and moduli beyond 1e100 are missing; in phase mode 0 too. They make no pair.
        y : ndarray of complex, shape (n,), optional
            The channel whose past z is compared with, at the same instants; default z itself.

        Raises
        ------
        KernelError
            When the block is empty, not one-dimensional, or y is not of the same shape.
        """
        z = as_stream(z)
        other = None if y is None else as_stream(y)
        if other is not None and other.shape != z.shape:
            raise KernelError(f"z has shape {z.shape} and y {other.shape}; they must be the same")
        size = -(-z.shape[0] // -(-z.shape[0] // CHUNK))  # parts of about equal length
        for start in range(0, z.shape[0], size):
            part = slice(start, start + size)
            self._chunk(z[part], None if other is None else other[part])

    def _chunk(self, z: NDArray[np.complex128], y: NDArray[np.complex128] | None) -> None:
        """Take n ≤ CHUNK samples."""
        n = z.shape[0]
        now = usable(z, phase=self._phase)
        before = self._ring.whole
        at = self._ring.append(now if y is None else usable(y, phase=self._phase))
        stretch = self._stretches.get(n)
        if stretch is None:
            # Blocks of one length have parts of two lengths at most; more are kept only to be constant in memory.
            if len(self._stretches) >= _TABLES:
                self._stretches.clear()
            stretch = self._stretches[n] = Stretch(n, self._gain, self._log_lambda, self._cycles)
        self._fade(stretch.decay)
        begin = self._turns() if self._count else 1.0
        past = [self._ring.past[at - lag : at - lag + n] for lag in self._lags.tolist()]
        weighted = stretch.weights * now[0]
        # The matrix product pays from the second lag or frequency on; one of each is a scalar product.
        products = np.stack(past) @ weighted.T if len(past) > 1 else (weighted @ past[0])[None, :]
        self._sum += begin * products
        # Where neither z nor the past has a hole, the weight of the pairs is that of the window.
        whole = now[2] is None and before >= self._reach and self._ring.whole >= n
        if whole:
            self._norms[0] += stretch.total
            self._norms[1] += stretch.square
        if not (whole and self._phase):
            self._norm_each(at, now[1], now[2], stretch.window, whole=whole)
        self._count += n

    def _fade(self, decay: float) -> None:
        """Let all sums fade by a factor, that of squared weights by its square."""
        self._sum *= decay
        self._norms *= decay
        self._norms[1] *= decay

    def _norm_each(
        self,
        at: int,
        modulus: NDArray[np.float64],
        there: NDArray[np.float64] | None,
        window: NDArray[np.float64],
        *,
        whole: bool,
    ) -> None:
        """Add to the norms, pair by pair."""
        ring = self._ring
        present = window if there is None else window * there
        power = window * modulus * modulus
        for k, lag in enumerate(self._lags.tolist()):
            part = slice(at - lag, at - lag + window.shape[0])
            if not whole:
                self._norms[0, k] += present @ ring.there[part]
                self._norms[1, k] += (present * window) @ ring.there[part]
            if not self._phase:
                self._norms[2, k] += power @ ring.there[part]
                self._norms[3, k] += present @ ring.square[part]

    def _turns(self) -> NDArray[np.complex128]:
        """e^{−iνnΔ} at the next sample, shape (n_nu,)."""
        return np.array([turn(cycle, self._count) for cycle in self._cycles])

    def step(self, z: complex, y: complex | None = None) -> None:
        """Take one sample; the same figures as :meth:`block`, without its cost for a single one.

        Parameters
        ----------
        z, y : complex
            As for :meth:`block`.
        """
        now = usable_one(z, phase=self._phase)
        at = self._ring.push(now if y is None else usable_one(y, phase=self._phase))
        ring, gain = self._ring, self._gain
        before = at - self._lags
        there = ring.there[before]
        self._fade(self._keep)
        self._sum += ring.past[before][:, None] * (self._turns() * (gain * now[0]))
        self._norms[0] += (gain * now[2]) * there
        self._norms[1] += (gain * gain * now[2]) * there
        if not self._phase:
            self._norms[2] += (gain * now[1] * now[1]) * there
            self._norms[3] += (gain * now[2]) * ring.square[before]
        self._count += 1

    def skip(self, slots: int) -> None:
        """Pass over this many missing samples: T is held, the weight of its pairs fades.

        Parameters
        ----------
        slots : int
            ≥ 0.

        Raises
        ------
        KernelError
            When ``slots`` is negative.
        """
        if slots < 0:
            raise KernelError(f"slots is {slots!r}; it must be at least 0")
        if not slots:
            return
        self._fade(math.exp(slots * self._log_lambda))
        self._ring.miss(slots)
        self._count += slots
