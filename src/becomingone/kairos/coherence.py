"""Local coherence C, and how many independent samples it rests on.

C alone says little: the mean of a narrow-band noise's phasors over a short window is often near 1. What makes it a
measurement is N_eff, measured from the data, and with it p, the probability that noise does as well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.timing import Timing


class LocalCoherence:
    """|⟨v⟩| with v the phasors turned back by the accumulated measured phase ∫ω̂dt, the mean leaky with τ_C.

    Turning v back is the same as turning the sum forward, S[n] = λe^{iω̂Δ}·S[n−1] + α·u[n], and leaves one plain
    leaky mean. Samples without a phase do not count: they add nothing to the sum and nothing to the weight, and both
    go on decaying, so C speaks of the valid samples and N_eff says how few they are.

    The autocorrelation ρ(k) = ⟨v[n]·v*[n−k]⟩ is measured at up to 16 lags over 0..2πτ, at the grid's ticks only.

    Parameters
    ----------
    every : int
        Samples from one tick to the next.
    lags : int
        K, the number of lags.
    filter_sum : float
        The least that Σ_k ρ(k) may come out as, in samples: what the filter itself makes of white noise. See
        :func:`filter_correlation`.
    """

    __slots__ = ("_every", "_filter_sum", "_lags", "_line", "_pairs", "_products", "_square", "_sum", "_weight")

    def __init__(self, every: int, lags: int, filter_sum: float) -> None:
        self._every = every
        self._lags = lags
        self._filter_sum = filter_sum
        self._sum: complex = 0.0
        self._weight = 0.0
        self._square = 0.0
        # v at the last K ticks, the newest last; 0 where there was none.
        self._line: NDArray[np.complex128] = np.zeros(lags, dtype=np.complex128)
        self._products: NDArray[np.complex128] = np.zeros(lags, dtype=np.complex128)
        self._pairs: NDArray[np.float64] = np.zeros(lags)

    @property
    def raw(self) -> float:
        """C before bias correction, 0..1; 0 while no sample is valid."""
        return min(1.0, abs(self._sum) / self._weight) if self._weight > 0.0 else 0.0

    def n_eff(self, alpha: float) -> float:
        """Effective number of independent samples, ≥ 1, by Bartlett's sum with measured correlations.

        1/N_eff = Σw²·Σ_{|k|≤2πτ} λ^|k|·Re ρ(k), with Σw² the sum of the squared normalised weights; for n samples all
        valid it equals (α/(2−α))·(1+λⁿ)/(1−λⁿ). The sum over k is a trapezoid over the lags measured; a lag not yet
        measured counts as ρ = 1, which errs on the side of too few.

        Parameters
        ----------
        alpha : float
            Weight of a sample in the coherence window at the present spacing.
        """
        if self._weight <= 0.0 or self._square <= 0.0:
            return 1.0
        measured = self._pairs > 0.0
        rho = np.where(measured, self._products.real / np.where(measured, self._pairs, 1.0), 1.0)
        log_lambda = math.log1p(-alpha) if alpha < 1.0 else -math.inf
        weighted = rho * np.exp(log_lambda * self._every * np.arange(1, self._lags + 1))
        total = self._every * (1.0 + 2.0 * float(weighted[:-1].sum()) + float(weighted[-1]))
        squares = self._square / self._weight**2
        return max(1.0, 1.0 / (squares * max(total, self._filter_sum)))

    @property
    def n_white(self) -> float:
        """Effective number of samples of white noise behind this filter, ≥ 1: 1/(Σw²·Σ_k ρ_filter(k)).

        For the bias of C, not for its significance. With a tone of share a in white noise E[C²] = a² + (1 − a²)/N, N
        being the noise's number; the measured `n_eff` counts the tone's own correlation as the noise's, and would call
        a perfect tone incoherent until the window is many times 2πτ.
        """
        if self._weight <= 0.0 or self._square <= 0.0:
            return 1.0
        return max(1.0, 1.0 / (self._square / self._weight**2 * self._filter_sum))

    def step(self, v: complex, timing: Timing) -> None:
        """Take one sample: a unit phasor, or 0 where the phase is undefined."""
        alpha = timing.alpha_window
        valid = 1.0 if v != 0.0 else 0.0
        self._sum += alpha * (v - self._sum)
        self._weight += alpha * (valid - self._weight)
        self._square = (1.0 - alpha) ** 2 * self._square + alpha * alpha * valid

    def block(self, v: NDArray[np.complex128], valid: NDArray[np.bool_], timing: Timing) -> None:
        """Take uniform samples and their validity, both of shape (n,)."""
        weights, decay = timing.window(v.shape[0])
        self._sum = decay * self._sum + complex(weights @ v)
        self._weight = decay * self._weight + float(weights @ valid)
        self._square = decay * decay * self._square + float((weights * weights) @ valid)

    def empty_ticks(self, ticks: int) -> None:
        """Pass over this many ticks that hold no sample."""
        keep = max(0, self._lags - ticks)
        self._line = np.concatenate((self._line[self._lags - keep :], np.zeros(self._lags - keep, dtype=np.complex128)))

    def ticks(self, v: NDArray[np.complex128], alpha: float) -> None:
        """Take the samples at consecutive ticks, shape (m,), and update ρ.

        Parameters
        ----------
        v : ndarray of complex, shape (m,)
        alpha : float
            Weight of a tick in the coherence window.
        """
        m = v.shape[0]
        k = self._lags
        line = np.concatenate((self._line, v))
        # Row j holds the K ticks before tick j, the nearest first.
        past = np.lib.stride_tricks.sliding_window_view(line[:-1], k)[:, ::-1]
        log_lambda = math.log1p(-alpha) if alpha < 1.0 else -math.inf
        ages = np.arange(m - 1, -1, -1, dtype=np.float64)
        ages[:-1] *= log_lambda
        weights = alpha * np.exp(ages)
        decay = math.exp(m * log_lambda)
        self._products = decay * self._products + (weights * v) @ np.conj(past)
        self._pairs = decay * self._pairs + (weights * (v != 0.0)) @ (past != 0.0)
        self._line = line[m:]

    def skip(self, seconds: float, tau: float) -> None:
        """Let time pass without samples: sums and weights decay together, so C is held and N_eff is too.

        N_eff is held because nothing that was measured has become less certain; what has aged is weighed by freshness.
        """
        decay = math.exp(-seconds / tau)
        self._sum *= decay
        self._weight *= decay
        self._square *= decay * decay
        self._products *= decay
        self._pairs *= decay


def filter_correlation(alpha: float) -> float:
    """Σ_k ρ(k) of white noise after two equal poles: (1−λ²)³/(α⁴·(1+λ²)), about 4τ/Δ samples.

    Follows from (Σh)²/Σh² with the impulse response h_k = α²·(k+1)·λ^k.
    """
    square = (1.0 - alpha) ** 2
    # 1 − λ² = α·(2 − α), written so that nothing cancels at small α.
    return (2.0 - alpha) ** 3 / (alpha * (1.0 + square))


def unbiased(raw: float, n_noise: float) -> float:
    """Return C without what N samples of noise leave of it: √clip((N·C² − 1)/(N − 1), 0, 1); 0 if N ≤ 1."""
    if n_noise <= 1.0 + 1e-9:
        return 0.0
    return math.sqrt(min(1.0, max(0.0, (n_noise * raw * raw - 1.0) / (n_noise - 1.0))))


def p_noise(raw: float, n_eff: float) -> float:
    """Return the probability that phases without coherence reach C: exp(−N_eff·C²).

    Conservative for a tone, whose own correlations make the measured N_eff small.
    """
    return min(1.0, math.exp(-n_eff * raw * raw))


SIGMA_UNIFORM = math.pi / math.sqrt(3.0)
"""Standard deviation of a phase about which nothing is known, in radians; the cap of every phase_sigma."""


def circular_sigma(raw: float) -> float:
    """Return the standard deviation √(−2·ln C) of a wrapped normal phase, in radians, at most π/√3."""
    return min(SIGMA_UNIFORM, math.sqrt(max(0.0, -2.0 * math.log(raw)))) if raw > 0.0 else SIGMA_UNIFORM
