"""Logarithmic time: a 1/t memory as a sum of exponentials whose time constants are a geometric series.

With s = 1/τ, 1/t = ∫e^{−ts}ds = ∫(1/τ)·e^{−t/τ} d ln τ, and the trapezoid rule with the step h = ln c is the bank

    k(t) = Σ_k v_k·e^{−t/τ_k},  τ_k = τ₀·c^k,  v_k = ln c/τ_k.

By Poisson's summation, t·k(t) = 1 + Σ_{m≠0} Γ(1 − 2πim/ln c)·e^{…}: on the logarithm of t a ripple of amplitude
2·|Γ(1 + 2πi/ln c)|, which is 9.9e-6 at c = 2, 6.5e-4 at e and 8.6e-3 at 4 (F. W. J. Olver, NIST Handbook, 5.4.3 for
|Γ|; sums of exponentials for powers: G. Beylkin and L. Monzón, Appl. Comput. Harmon. Anal. 28, 2010). What is missing
beyond the longest time constant, ln c·t/((c − 1)·τ_max), is far larger, so the weights may be fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

GUARDS: Final = 4
"""Scales added below and above the range when weights are fitted: enough for the edges to be as good as the middle."""

MAX_SCALES: Final = 256
"""More than this is a mistake: 1 µs to the age of the universe takes 79 at c = 2."""

_PER_SCALE: Final = 16
"""Points per scale at which weights are fitted and the error is measured: the ripple has one period per scale."""


def ripple(ratio: float) -> float:
    """Amplitude of the relative ripple of the endless bank, 2·|Γ(1 + iy)| = 2·√(πy/sinh πy) with y = 2π/ln c.

    Parameters
    ----------
    ratio : float
        c, 1 < c ≤ 16.

    Raises
    ------
    KernelError
        When c is out of its range.
    """
    if not 1.0 < ratio <= 16.0:
        raise KernelError(f"ratio is {ratio!r}; it must be above 1 and at most 16")
    y = math.pi * 2.0 * math.pi / math.log(ratio)
    # ln sinh y without overflow for c close to 1; the first overtone is smaller by e^{−y/2} or more.
    return 2.0 * math.exp(0.5 * (math.log(2.0 * y) - y - math.log1p(-math.exp(-2.0 * y))))


@dataclass(frozen=True, slots=True, eq=False)
class LogTime:
    """Time constants and weights whose sum of exponentials is 1/t between two times.

    Made by :meth:`of`; the fields may also be given directly.

    Parameters
    ----------
    low_us, high_us : float
        The range over which k(t) is 1/t, in microseconds.
    tau_us : ndarray of float, shape (k,)
        Time constants in microseconds, ascending.
    weight : ndarray of float, shape (k,)
        v_k in 1/µs, ≥ 0, so that k falls for all ages.

    Notes
    -----
    Below ``low_us`` the kernel saturates at Σv_k, beyond ``high_us`` it falls away exponentially.
    """

    low_us: float
    high_us: float
    tau_us: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        low_us: float,
        high_us: float,
        *,
        ratio: float = 2.0,
        below: int = GUARDS,
        above: int = GUARDS,
        fitted: bool = True,
    ) -> LogTime:
        """Make the bank for a range.

        Parameters
        ----------
        low_us, high_us : float
            Range in microseconds, 1e-3 ≤ low < high ≤ 1e16.
        ratio : float
            c, 1 < c ≤ 16. The number of scales is 1 + ⌊log_c(high/low)⌋ and the guards: 32 + guards for 1 µs to 1 h
            at c = 2.
        below, above : int
            Guards: scales shorter than ``low_us`` and longer than the range needs, ≥ 0.
        fitted : bool
            Weights by least squares of t·k(t) − 1 on the range, kept near ln c/τ_k by a penalty of a tenth of the
            ripple. False: v_k = ln c/τ_k as they stand; then 10 guards above still leave 1.1e-3 at the far end.

        Raises
        ------
        KernelError
            When a value is out of its range, there are too many scales, or a fitted weight is negative (more guards
            or a smaller ratio help).
        """
        if not (math.isfinite(low_us) and math.isfinite(high_us) and 1e-3 <= low_us < high_us <= 1e16):
            raise KernelError(f"range {low_us!r}..{high_us!r} µs; it must be 1e-3 ≤ low < high ≤ 1e16")
        if below < 0 or above < 0:
            raise KernelError(f"{below} guards below and {above} above; neither may be negative")
        smoothness = 0.1 * ripple(ratio)
        inner = 1 + math.floor(math.log(high_us / low_us) / math.log(ratio) + 1e-9)
        if inner + below + above > MAX_SCALES:
            raise KernelError(f"{inner + below + above} scales; at most {MAX_SCALES} are allowed, use a larger ratio")
        tau = low_us * np.power(float(ratio), np.arange(-below, inner + above))
        share = np.ones(tau.shape[0])
        if fitted:
            t = np.geomspace(low_us, high_us, max(2, _PER_SCALE * inner))
            design = math.log(ratio) * (t[:, None] / tau) * np.exp(-t[:, None] / tau) / math.sqrt(t.shape[0])
            lack = 1.0 / math.sqrt(t.shape[0]) - design.sum(axis=1)
            rows = np.vstack((design, smoothness * np.eye(tau.shape[0])))
            share += np.linalg.lstsq(rows, np.concatenate((lack, np.zeros(tau.shape[0]))), rcond=None)[0]
            if (share < 0.0).any():
                raise KernelError("a fitted weight is negative; use more guards or a smaller ratio")
        return cls(float(low_us), float(high_us), tau, math.log(ratio) / tau * share)

    def __len__(self) -> int:
        return int(self.tau_us.shape[0])

    def kernel(self, age_us: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return k(t) in 1/µs, of the same shape.

        Parameters
        ----------
        age_us : ndarray of float, or float
            t in microseconds, ≥ 0.

        Raises
        ------
        KernelError
            When an age is negative or not a number.
        """
        age = np.asarray(age_us, dtype=np.float64)
        if not (age >= 0.0).all():
            raise KernelError("an age is negative or not a number")
        out = np.zeros(age.shape)
        for tau, weight in zip(self.tau_us.tolist(), self.weight.tolist(), strict=True):
            out += weight * np.exp(-age / tau)
        return out

    def error(self) -> float:
        """Return the greatest relative deviation of k(t) from 1/t over the range, measured on a fine grid."""
        points = 4 * _PER_SCALE * self.tau_us.shape[0]
        t = np.geomspace(self.low_us, self.high_us, points)
        return float(np.abs(t * self.kernel(t) - 1.0).max())
