"""Temporal resonance T_τ: whether the phase of one lag ago still tells the phase of now."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.timing import Timing


class TemporalResonance:
    """T = ⟨q[n]·q*[n−L]⟩ / √(⟨|q[n]|²⟩·⟨|q[n−L]|²⟩) over the valid pairs, the means leaky with τ_C.

    q = u·e^{−iω₀t} is the phase turned back by the band's own rotation, which does what the factor e^{−iω₀τ̄} of the
    definition does, at the lag that each pair really has: a tone at ω₀ gives exactly 1 at every lag and any spacing.
    |q| is 1, or 0 where the phase is undefined; both norms are then the weight of the valid pairs, and by
    Cauchy-Schwarz |T| ≤ 1.

    Parameters
    ----------
    lag : int
        L, in slots, ≥ 1. The ring holds L complex numbers.
    enough : float
        Weight of valid pairs, 0..1, below which T is not given. A single pair has |T| = 1 whatever it is.
    """

    __slots__ = ("_at", "_enough", "_pairs", "_products", "_ring")

    def __init__(self, lag: int, enough: float) -> None:
        self._ring: NDArray[np.complex128] = np.zeros(lag, dtype=np.complex128)
        self._at = 0
        self._products: complex = 0.0
        self._pairs = 0.0
        self._enough = enough

    @property
    def value(self) -> complex | None:
        """T, modulus 0..1, or None while too few pairs are valid."""
        if self._pairs < self._enough:
            return None
        value = self._products / self._pairs
        modulus = abs(value)
        return value / modulus if modulus > 1.0 else value

    def empty(self, slots: int) -> None:
        """Pass over this many slots that hold no sample."""
        lag = self._ring.shape[0]
        if slots >= lag:
            self._ring[:] = 0.0
            return
        stop = self._at + slots
        self._ring[self._at : stop] = 0.0
        if stop > lag:
            self._ring[: stop - lag] = 0.0
        self._at = stop % lag

    def step(self, q: complex, timing: Timing, slots: int) -> None:
        """Take one sample that lies ``slots`` after the previous one (0: it replaces it)."""
        lag = self._ring.shape[0]
        if slots > 1:
            self.empty(slots - 1)
        if slots == 0:
            # The slot's earlier content is overwritten; its partner is gone, so this sample makes no pair.
            self._ring[self._at - 1] = q
            past: complex = 0.0
        else:
            past = self._ring[self._at].item()
            self._ring[self._at] = q
            self._at = (self._at + 1) % lag
        paired = 1.0 if q != 0.0 and past != 0.0 else 0.0
        alpha = timing.alpha_window
        self._products += alpha * (q * past.conjugate() - self._products)
        self._pairs += alpha * (paired - self._pairs)

    def block(self, q: NDArray[np.complex128], timing: Timing) -> None:
        """Take uniform samples, shape (n,), one slot each."""
        n = q.shape[0]
        lag = self._ring.shape[0]
        ring = self._ring
        if n >= lag:
            ordered = np.concatenate((ring[self._at :], ring[: self._at], q))
            past = ordered[:n]
            ring[:] = ordered[n:]
            self._at = 0
        else:
            head = min(n, lag - self._at)
            past = np.concatenate((ring[self._at : self._at + head], ring[: n - head]))
            ring[self._at : self._at + head] = q[:head]
            ring[: n - head] = q[head:]
            self._at = (self._at + n) % lag
        weights, decay = timing.window(n)
        paired = (q != 0.0) & (past != 0.0)
        self._products = decay * self._products + complex(weights @ (q * np.conj(past)))
        self._pairs = decay * self._pairs + float(weights @ paired)

    def skip(self, seconds: float, tau: float) -> None:
        """Let time pass without samples: numerator and weight decay together, so T is held until too light."""
        decay = math.exp(-seconds / tau)
        self._products *= decay
        self._pairs *= decay
