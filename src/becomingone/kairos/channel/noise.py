"""White noise behind the demodulating filter: what must not be taken for a rhythm.

Every band makes its own correlations: noise comes out of the filter with a phase that keeps for a few τ. How long is
known exactly, and is what measured correlations are held against.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REACH: Final = 40.0
"""Filter time constants after which a correlation is below 1e-15."""

_SPREAD: Final = 1.1
"""Relative standard deviation of the measured sum of squared correlations of white noise, times √N (seen: 1.0 to 1.2
for N from 40 to 650)."""


def filter_correlation(alpha: float, k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of white noise after two equal poles, λ^k·(1 + k·(1−λ²)/(1+λ²)).

    Follows from the impulse response h_j = α²·(j+1)·λ^j.

    Parameters
    ----------
    alpha : float
        α of each pole, 0 < α ≤ 1.
    k : ndarray of float, shape (m,)
        Lags in samples, ≥ 0.

    Returns
    -------
    ndarray of float, shape (m,)
        0..1; 1 at lag 0.
    """
    lam = 1.0 - alpha
    # 1 − λ² = α·(2 − α), written so that nothing cancels at small α.
    slope = alpha * (2.0 - alpha) / (1.0 + lam * lam)
    powers = np.exp(k * math.log1p(-alpha)) if alpha < 1.0 else (k == 0.0).astype(np.float64)
    rho: NDArray[np.float64] = powers * (1.0 + k * slope)
    return rho


def phase_correlation(rho: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation ⟨u·u'*⟩ of the phases of two complex Gaussian numbers of correlation ρ: (π/4)·ρ·₂F₁(½, ½; 2; ρ²).

    Phases forget faster than the numbers they belong to: at small ρ by π/4 (D. Middleton, An Introduction to
    Statistical Communication Theory, 1960, section 9.1).

    Parameters
    ----------
    rho : ndarray of float, shape (m,)
        0..1.

    Returns
    -------
    ndarray of float, shape (m,)
        0..1.
    """
    terms = 400
    j = np.arange(terms - 1, dtype=np.float64)
    series = np.concatenate(([1.0], np.cumprod((j + 0.5) ** 2 / ((j + 1.0) * (j + 2.0)))))
    square = np.minimum(rho * rho, 1.0)
    total = np.zeros_like(square)
    for coefficient in series[::-1].tolist():
        total = total * square + coefficient
    # What the series leaves out at ρ = 1, where the exact sum is 4/π; its terms fall as 1/j².
    rest = (4.0 / math.pi - float(series.sum())) * square**terms
    phases: NDArray[np.float64] = (math.pi / 4.0) * rho * (total + rest)
    return phases


class WhiteNoise:
    """Sums over the phase correlations of white noise in one band, sampled every ``every`` samples.

    Parameters
    ----------
    alpha : float
        α of each demodulating pole at the sample spacing, 0 < α ≤ 1.
    every : float
        Samples from one tick to the next, ≥ 1.
    lags : int
        Number of lags K, in ticks, that will be measured.
    decay : float
        λ of the window per tick, 0..1; lagged products are of unequal weight, by λ^|k| on average.

    Attributes
    ----------
    coherence_sum : float
        Σ_k λ^|k|·ρ_z(k), in ticks: how many ticks make one independent one in a mean of phases; of the filter's output
        itself, which is a little more than its phases' and so errs towards fewer, as is right at the start.
    resonance_sum : float
        Σ_k λ^|k|·ρ(k)²: the same for u[n]·u*[n−L], whose two factors are independent of one another.
    """

    __slots__ = ("_trapezoid", "coherence_sum", "resonance_sum")

    def __init__(self, alpha: float, every: float, lags: int, decay: float) -> None:
        far = max(lags, math.ceil(_REACH / (alpha * every))) if alpha < 1.0 else lags
        amplitudes = filter_correlation(alpha, every * np.arange(1.0, far + 1.0))
        rho = phase_correlation(amplitudes)
        weight = decay ** np.arange(1.0, far + 1.0)
        self.coherence_sum = 1.0 + 2.0 * float(weight @ amplitudes)
        self.resonance_sum = 1.0 + 2.0 * float(weight @ rho**2)
        self._trapezoid = _trapezoid(rho[:lags])

    def excess(self, rho: NDArray[np.float64], window: float) -> float:
        """Return by how much measured phases keep longer than white noise's.

        ρ(k) less the plateau that a tone leaves at every lag, (|ρ(k)| − |ρ(K)|)/(1 − |ρ(K)|): what is left is the
        noise's own. Only what is one standard deviation above white noise's sum is believed.

        Parameters
        ----------
        rho : ndarray of float, shape (K,)
            |ρ| measured at the lags 1..K.
        window : float
            1/Σw², the number of ticks that were averaged.

        Returns
        -------
        float
            ≥ 1; factor of ``resonance_sum``.
        """
        plateau = rho[-1].item()
        if rho.shape[0] < 2 or plateau > 1.0 - 1e-6:
            return 1.0
        own = np.clip((rho - plateau) / (1.0 - plateau), 0.0, 1.0)
        n = max(1.0, window / self.resonance_sum)
        return max(1.0, _trapezoid(own) / self._trapezoid - _SPREAD / math.sqrt(n))


def _trapezoid(rho: NDArray[np.float64]) -> float:
    """Σρ² over −K..K by the trapezoid rule, ρ(0) = 1 and ρ(1..K) given."""
    return 1.0 + 2.0 * float((rho[:-1] ** 2).sum()) + float(rho[-1] ** 2)
