"""Whether channels are locked or only look so: how often unrelated ones would.

R_lock cannot tell. It is formed at one tick, where two phases say nothing, and with offsets that were learnt from the
same channels: unrelated ones reach E[R_lock²] = 1/N + (1 − 1/N)/n. The evidence is in the window. Each channel is
compared with the mean field of all the **others**, offsets and all: unrelated channels have a coherence with it whose
distribution is known, and locked ones do whatever their offsets are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.kairos.gamma import gamma_tail
from becomingone.kairos.mesh.wander import Wander
from becomingone.kairos.sums import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = slice | NDArray[np.intp]

LEAST_N_EFF: Final = 2.0
"""Independent samples in the window below which nothing is said: p = 1."""

_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a window says against the channels being unrelated.

    Parameters
    ----------
    p : float
        Probability that unrelated channels agree as well over the window, 0..1.
    n_eff : float
        Effective number of independent samples in the window of the least-learnt channel.
    """

    p: float
    n_eff: float


class LockingEvidence:
    """Coherence of each channel with the mean field of the others, and how much of it chance makes.

    Notes
    -----
    With shares s = w/Σw, F = Σs·u and F₋ = F − s·u without the channel itself, A = ⟨u·F₋*⟩ and B = ⟨|F₋|²⟩ are leaky
    means over τ, and γ² = |A|²/B. Of unrelated channels n·γ² is exponential with mean 1. γ_k and γ_l share the pair
    (k, l), whose correlation is s_k·s_l/√(V_k·V_l) with V_k = Σs² − s_k², so that G = Σs·n·γ² has mean 1 and variance
    Σ_k Σ_l s_k·s_l·(s_k·s_l)²/(V_k·V_l), off the diagonal, plus Σs²: 1/(N − 1) of equal weights. G is then close to a
    gamma variable of shape ν = 1/variance (F. E. Satterthwaite 1946), and p = Q(ν, νG); of two channels e^{−nγ²}.

    n is the window over the correlation time c = ∫ρ of u·F₋*, measured from its deviation from A, of all channels
    together (:class:`becomingone.kairos.mesh.wander.Wander`). c is never taken below what the band's filter alone makes
    of noise, and p stays 1 until the window is τ long: a shorter one cannot tell a slow wander from none. A channel
    that comes or goes changes what the others are compared with, which counts as wander until it has left the window.
    """

    __slots__ = ("_a", "_b", "_before", "_tau_s", "_wander")

    def __init__(self, tau_s: float) -> None:
        self._tau_s = tau_s
        self._a: NDArray[np.complex128] = np.zeros(0, dtype=np.complex128)
        self._b: NDArray[np.float64] = np.zeros(0)
        self._before: NDArray[np.complex128] = np.zeros(0, dtype=np.complex128)
        self._wander = Wander(tau_s)

    def grow(self, size: int) -> None:
        """Make room for so many channels."""
        more = size - self._b.shape[0]
        self._a = np.concatenate((self._a, np.zeros(more, dtype=np.complex128)))
        self._b = np.concatenate((self._b, np.zeros(more)))
        self._before = np.concatenate((self._before, np.zeros(more, dtype=np.complex128)))

    def forget(self, index: int) -> None:
        """Forget what was learnt about a channel."""
        self._a[index] = 0.0
        self._b[index] = 0.0
        self._before[index] = 0.0

    def update(
        self,
        rows: Rows,
        u: NDArray[np.complex128],
        own: NDArray[np.complex128],
        share: NDArray[np.float64],
        window_s: NDArray[np.float64],
        filled: NDArray[np.float64],
        room: tuple[NDArray[np.complex128], NDArray[np.complex128]],
        *,
        alpha: float,
        dt_s: float,
        correlation_s: float,
    ) -> Evidence:
        """Take the phases of one tick; what is passed was checked by the caller.

        Parameters
        ----------
        rows : slice or ndarray of int, shape (n,)
            Where these channels are kept.
        u : ndarray of complex, shape (n,)
            Unit phasors.
        own : ndarray of complex, shape (n,)
            share·u.
        share : ndarray of float, shape (n,)
            w/Σw.
        window_s : ndarray of float, shape (n,)
            Effective length of each channel's window after this tick, in seconds.
        filled : ndarray of float, shape (n,)
            Weight of the window, 0..1, after this tick.
        room : two ndarrays of complex, shape (n,)
            Overwritten.
        alpha : float
            α of this tick for τ.
        dt_s, correlation_s : float
            Seconds since the tick before; ∫ρ dt of noise behind the band's filter.
        """
        product, change = room
        np.subtract(complex(own.sum()), own, out=product)
        power = np.abs(product)
        np.conjugate(product, out=product)
        product *= u
        power *= power
        a, b = self._a[rows], self._b[rows]
        np.subtract(product, a, out=change)
        change *= alpha
        a += change
        power -= b
        power *= alpha
        b += power
        if not isinstance(rows, slice):
            self._a[rows] = a
            self._b[rows] = b
        # Two filtered noises' product is correlated for half as long as each of them.
        least_s = 0.5 * correlation_s
        if self._wander.due(dt_s, least_s):
            np.multiply(a, 1.0 / filled, out=change)
            product -= change
            self._compare(rows, product, share, b / filled)
        gamma2 = np.abs(a)
        gamma2 *= gamma2
        gamma2 /= np.maximum(b * filled, _TINY)
        agreement = min(1.0, dot(share, gamma2))
        measured_s = self._wander.correlation_s(dot(share, window_s), dt_s, agreement)
        correlation = max(least_s, measured_s)
        n_window = float(np.minimum.reduce(window_s))
        if n_window < max(LEAST_N_EFF * correlation, self._tau_s) or share.shape[0] < 2:
            return Evidence(1.0, n_window / correlation)
        gamma2 *= window_s
        shape = _shape(share)
        return Evidence(gamma_tail(shape, shape * dot(share, gamma2) / correlation), n_window / correlation)

    def _compare(
        self,
        rows: Rows,
        deviation: NDArray[np.complex128],
        share: NDArray[np.float64],
        power: NDArray[np.float64],
    ) -> None:
        """Learn how alike the deviations are one lag apart, of the channels that were there at both ends of it."""
        before = self._before[rows]
        both = share / np.maximum(power, _TINY)
        former = np.abs(before)
        both[former == 0.0] = 0.0
        former *= former
        now = np.abs(deviation)
        now *= now
        total = 0.5 * (dot(both, now) + dot(both, former))
        np.multiply(deviation.real, before.real, out=now)
        np.multiply(deviation.imag, before.imag, out=former)
        now += former
        alike = dot(both, now)
        self._wander.learn(alike, total)
        self._before[:] = 0.0
        self._before[rows] = deviation


def _shape(share: NDArray[np.float64]) -> float:
    """ν of G: N − 1 of equal weights."""
    square = share * share
    total = float(np.add.reduce(square))
    others = np.maximum(total - square, _TINY)
    square *= share
    square /= others
    variance = total + float(np.add.reduce(square)) ** 2 - dot(square, square)
    return 1.0 / variance
