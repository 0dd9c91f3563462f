"""The slow figures of a channel: coherence, frequency, temporal resonance, and how many samples they rest on.

All are means over τ_C of products of phases. Behind the filter a phase cannot change within a fraction of τ, so they
are formed at ticks, 16 in 2πτ: nothing is lost, and a microphone costs no more than a thermometer.
"""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.kairos.channel.noise import WhiteNoise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.channel.grid import Grid

LONG_MEMORY: Final = 16.0
"""The noise's own correlations are measured over so many τ_C: its colour changes slower than what happens in it."""

_EPOCH: Final = 32
_EARLY: Final = 128
_COLOUR_EVERY: Final = 128


class Rhythm:
    """Leaky sums over the phases at consecutive ticks.

    q is the phase turned back by the band's own rotation, q = u·e^{−iω₀t}; 0 where there is none.

    - Lagged products ⟨q[n]·q*[n−k]⟩ at all lags of 2πτ and at the lag τ̄. The last is the temporal resonance T; a tone
      at ω₀ gives exactly 1 at every lag. Both factors have modulus 1 or 0, so the normalisation √(⟨|q|²⟩·⟨|q'|²⟩) is
      the weight of the pairs that both have a phase, and by Cauchy-Schwarz |T| ≤ 1.
    - ω̂ from the products' angles, each longer lag refining the one before, whose error is too small to be ambiguous
      (S. A. Tretter, IEEE Trans. Inf. Theory 31, 1985; M. P. Fitz, IEEE Trans. Commun. 42, 1994).
    - C = |⟨v⟩|, v = q turned back by ∫(ω̂ − ω₀)dt.

    Ticks at which the filter has not settled count for C only: their correlations are the filter's, not the signal's.

    Parameters
    ----------
    grid : Grid
        Spaced for the first sample.
    omega0 : float
        ω₀ in rad/s.
    window_s : float
        τ_C in seconds.
    alpha : float
        α of the demodulating poles at the grid's spacing.

    Attributes
    ----------
    omega : float
        ω̂ in rad/s, as measured at the latest epoch's end; ω₀ before there is anything to measure.
    """

    __slots__ = (
        "_coherence",
        "_colour",
        "_count",
        "_drift",
        "_fading",
        "_filled",
        "_index",
        "_ladder",
        "_line",
        "_logs",
        "_memory",
        "_omega0",
        "_pairs",
        "_products",
        "_spread",
        "_square_sums",
        "_squares",
        "_tick_s",
        "_weight",
        "_weights",
        "_white",
        "omega",
    )

    def __init__(self, grid: Grid, omega0: float, window_s: float, alpha: float) -> None:
        memory, lag = grid.memory_ticks, grid.lag_ticks
        self._omega0 = omega0
        self._tick_s = grid.tick_slots * grid.spacing
        # Short: τ_C, for what is published. Long: for the noise's colour.
        self._logs = np.array([-self._tick_s / window_s, -self._tick_s / (LONG_MEMORY * window_s)])
        self._fading: NDArray[np.float64] = np.exp(self._logs[:, None] * np.arange(_EPOCH + 1.0))
        gains = -np.expm1(self._logs)
        self._square_sums: NDArray[np.float64] = gains[:, None] ** 2 * np.cumsum(
            np.pad(self._fading[:, :-1] ** 2, ((0, 0), (1, 0))), axis=1
        )
        self._weights: NDArray[np.float64] = np.ascontiguousarray(gains[:, None] * self._fading[:, _EPOCH - 1 :: -1])
        self._white = WhiteNoise(alpha, grid.tick_slots, memory, float(self._fading[0, 1]))
        # Columns of the products: lags 1..memory, and the lag τ̄ where it is longer; counted back from the newest.
        lags = [*range(1, memory + 1), lag] if lag > memory else list(range(1, memory + 1))
        behind = lag - np.array(lags, dtype=np.intp)
        self._index: NDArray[np.intp] = np.arange(_EPOCH, dtype=np.intp)[:, None] + behind
        self._memory = memory
        # Columns at lags that double, and the last: each refines the angle of the one before.
        doubling = [column for column, k in enumerate(lags) if k & (k - 1) == 0 or column == len(lags) - 1]
        self._ladder: list[tuple[int, int]] = [(column, lags[column]) for column in doubling]
        # q at the last `lag` ticks, the newest last.
        self._line: NDArray[np.complex128] = np.zeros(lag, dtype=np.complex128)
        self._products: NDArray[np.complex128] = np.zeros((2, len(lags)), dtype=np.complex128)
        self._pairs: NDArray[np.float64] = np.zeros((2, len(lags)))
        self._squares: NDArray[np.float64] = np.zeros(2)
        # As much weight of pairs as fills each lag: a single pair has |T| = 1 whatever it is.
        self._filled: list[float] = (-np.expm1(self._logs[0] * np.array(lags)) * (1.0 - 1e-9)).tolist()
        # Of C: sum, weight and squared weights.
        self._coherence: complex = 0.0
        self._weight = 0.0
        self._spread = 0.0
        self._colour = 1.0
        self._count = 0
        self._drift: complex = 1.0
        self.omega = omega0

    # --- ticks -------------------------------------------------------------------------------------------------------

    def room(self, ticks: int) -> tuple[int, int]:
        """Return how many groups of how many ticks the next call of :meth:`take` may hold, at most ``ticks`` in all.

        ω̂ is measured anew after every epoch of 32 ticks, in the beginning of 16.
        """
        left = self._left()
        if left == _EPOCH <= ticks:
            return ticks // _EPOCH, _EPOCH
        return 1, min(left, ticks)

    def _left(self) -> int:
        """Ticks left until ω̂ is measured anew, ≥ 1."""
        length = _EPOCH // 2 if self._count < _EARLY else _EPOCH
        return length - self._count % length

    def take(
        self, q: NDArray[np.complex128], settled: NDArray[np.bool_] | None, seconds: NDArray[np.float64]
    ) -> list[float]:
        """Take the phases at consecutive ticks, as many as :meth:`room` allows.

        Parameters
        ----------
        q : ndarray of complex, shape (groups, length)
            Unit phasors, or 0.
        settled : ndarray of bool, shape (groups, length), or None
            Whether the filter had settled; None when it had at all of them.
        seconds : ndarray of float, shape (groups, length)
            Time since the tick before.

        Returns
        -------
        list of float
            ω̂ in rad/s after each epoch that has ended, 0..groups of them.
        """
        groups, length = q.shape
        ends = length == self._left()
        known = q if settled is None else np.where(settled, q, 0.0)
        line = np.concatenate((self._line, known.reshape(-1)))
        past = line[self._behind(groups * length)]
        products = known.reshape(-1, 1) * np.conj(past)
        weights = self._weights[:, _EPOCH - length :]
        added = np.matmul(weights, products.reshape(groups, length, -1))
        complete = bool(line.all())
        both = None if complete else (known.reshape(-1, 1) != 0.0) & (past != 0.0)
        omegas = [self.omega]
        for group in range(groups):
            fading = self._fading[:, length, None]
            self._products *= fading
            self._products += added[group]
            self._pairs *= fading
            self._squares *= fading[:, 0] ** 2
            if both is None:
                self._pairs += 1.0 - fading
                self._squares += self._square_sums[:, length]
            else:
                part = both[group * length : (group + 1) * length]
                self._pairs += weights @ part
                self._squares += (weights * weights) @ part[:, -1]
            self._count += length
            if ends:
                omegas.append(self._measure_omega())
                if self._count % _COLOUR_EVERY == 0:
                    self._colour = self._measure_colour()
        self._line = line[groups * length :]
        off = np.array(omegas[:groups])[:, None] - self._omega0
        self._take_coherence(q.reshape(-1), (off * seconds).reshape(-1).cumsum())
        self.omega = omegas[-1]
        return omegas[1:]

    def _take_coherence(self, q: NDArray[np.complex128], angle: NDArray[np.float64]) -> None:
        """Add to C what q is when turned back by ∫(ω̂ − ω₀)dt; both of shape (m,)."""
        m = q.shape[0]
        v = q * np.exp(-1j * angle)
        log = self._logs[0].item()
        if m <= _EPOCH:
            weights = self._weights[0, _EPOCH - m :]
        else:
            weights = -math.expm1(log) * np.exp(log * np.arange(m - 1.0, -1.0, -1.0))
        decay = math.exp(log * m)
        present = q != 0.0
        self._coherence = decay * self._coherence + self._drift * complex(weights @ v)
        self._weight = decay * self._weight + float(weights @ present)
        self._spread = decay * decay * self._spread + float((weights * weights) @ present)
        self._drift *= cmath.exp(-1j * angle[-1].item())
        self._drift /= abs(self._drift)

    def _behind(self, ticks: int) -> NDArray[np.intp]:
        """Where in the line the partners of so many new ticks stand, shape (ticks, columns)."""
        if ticks > self._index.shape[0]:
            self._index = np.arange(ticks, dtype=np.intp)[:, None] + self._index[0]
        return self._index[:ticks]

    def empty(self, ticks: int) -> None:
        """Pass over this many ticks that hold no sample."""
        keep = max(0, self._line.shape[0] - ticks)
        line = np.zeros_like(self._line)
        line[:keep] = self._line[self._line.shape[0] - keep :]
        self._line = line

    def skip(self, seconds: float) -> None:
        """Let time pass without samples: sums and weights decay together, so every figure is held.

        N_eff is held because nothing that was measured has become less certain; what has aged is weighed by freshness.
        """
        decay = np.exp(self._logs * (seconds / self._tick_s))
        self._products *= decay[:, None]
        self._pairs *= decay[:, None]
        self._squares *= decay * decay
        short = decay[0].item()
        self._coherence *= short
        self._weight *= short
        self._spread *= short * short

    def _measure_omega(self) -> float:
        """Return ω̂: the angle per tick, at ever longer lags."""
        products = self._products[0].tolist()
        pairs = self._pairs[0].tolist()
        angle = 0.0
        for column, lag in self._ladder:
            # A lag is believed once as many pairs were seen as it is long.
            if pairs[column] >= self._filled[column] and products[column] != 0.0:
                angle += cmath.phase(products[column] * cmath.exp(-1j * angle * lag)) / lag
        return self._omega0 + angle / self._tick_s

    def _measure_colour(self) -> float:
        """Return by how much the noise's phases keep longer than white noise's, ≥ 1."""
        pairs = self._pairs[1, : self._memory]
        if not ((pairs > 0.0).all() and self._squares[1] > 0.0):
            return 1.0
        rho = np.abs(self._products[1, : self._memory]) / pairs
        return self._white.excess(rho, float(self._pairs[1, -1] ** 2 / self._squares[1]))

    # --- figures -----------------------------------------------------------------------------------------------------

    @property
    def coherence(self) -> float:
        """C before bias correction, 0..1; 0 while no tick had a phase."""
        return min(1.0, abs(self._coherence) / self._weight) if self._weight > 0.0 else 0.0

    @property
    def n_white(self) -> float:
        """Effective number of samples of white noise in C, ≥ 1: 1/(Σw²·Σ_k ρ(k)); for the bias of C."""
        if not (self._weight > 0.0 and self._spread > 0.0):
            return 1.0
        return max(1.0, self._weight**2 / (self._spread * self._white.coherence_sum))

    @property
    def resonance(self) -> complex | None:
        """T, modulus 0..1, or None while too few pairs were seen."""
        pairs = self._pairs[0, -1].item()
        if pairs < self._filled[-1]:
            return None
        value: complex = self._products[0, -1].item() / pairs
        modulus = abs(value)
        return value / modulus if modulus > 1.0 else value

    @property
    def n_eff(self) -> float:
        """Effective number of independent samples behind T, ≥ 1, by Bartlett's formula: 1/(Σw²·Σ_k λ^|k|·ρ(k)²).

        The sum is white noise's behind this filter, or more where the noise was measured to keep its phase longer.
        """
        squares: float = self._squares[0].item()
        if not squares > 0.0:
            return 1.0
        pairs: float = self._pairs[0, -1].item()
        return max(1.0, pairs * pairs / (squares * self._white.resonance_sum * self._colour))
