"""What the coherence was, from blocks that may be coarser than the question, with a bound that always holds.

Three facts carry all bounds here. They need only |u_i| ≤ 1 and w_i ≥ 0, nothing about the stream.

1. **Substitution.** Of two measures μ, ν over the same phasors, |S_μ/|μ| − S_ν/|ν|| ≤ 2·‖μ − ν‖₁/max(|μ|, |ν|): add
   and take away S_μ/|ν|, and both terms are at most ‖μ − ν‖/|ν|. For a part of weight W_m taken for a whole of weight
   W_n that is 2·(1 − W_m/W_n), for unit weights 2·(1 − m/n); m in phase and the others in antiphase attain it.
2. **A part of a block.** A part of weight share φ of a block (S, W), of coherence R = |S|/W, has a sum s with
   |s − φS| ≤ W·√(φ(1 − φ)(1 − R²)). Proof: |s| ≤ φW and |S − s| ≤ (1 − φ)W, and (1 − φ)|s|² + φ|S − s|² =
   |s − φS|² + φ(1 − φ)|S|² for any s. So what is cut off a coherent block is known well.
3. **A weighted block.** With weights in [lo, hi] and any g between, δ = max(g − lo, hi − g): |Σw(u − S/W)(λ − g)| ≤
   δ·W·√(1 − R²), by Cauchy and Schwarz.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.rayleigh import rayleigh_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.memory.blocks import Blocks

_SHARES: Final = np.linspace(0.0, 1.0, 17)
"""Shares φ of a cut block at the edges of a cell of the search for the worst."""

_STRAYING: Final = np.sqrt(np.clip(0.5, _SHARES[:-1], _SHARES[1:]) * (1.0 - np.clip(0.5, _SHARES[:-1], _SHARES[1:])))
"""The greatest √(φ(1 − φ)) in each cell."""

_ROUNDING: Final = 1e-13  # of R², after very many sums


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """The mean phasor of a window of the past.

    Parameters
    ----------
    phasor : complex
        The estimate, in the unit disc; 0 when not ``valid``.
    bound : float
        The true mean phasor is within this of ``phasor``, and so is its modulus of ``coherence`` (to rounding, 1e-12
        of the weights); 0 where the window's ends are known exactly; at most 2.
    weight : float
        Weight that the estimate rests on.
    n_eff : float
        (Σw)²/Σw², the effective number of *insertions*, independent or not.
    resolution_us : int
        Time between first and last insertion of the longest block of which only a part, or an uncertain weighting,
        entered: how coarse memory is there. 0 when exact.
    valid : bool
        Whether a block of memory overlaps the window at all. With ``bound`` ≥ 1 all of its insertions may still lie
        just outside.
    """

    phasor: complex
    bound: float
    weight: float
    n_eff: float
    resolution_us: int
    valid: bool

    @property
    def coherence(self) -> float:
        """The modulus, 0..1."""
        return min(1.0, abs(self.phasor))

    @property
    def phase(self) -> float | None:
        """The argument in radians, −π..π; None where the phasor is 0."""
        return cmath.phase(self.phasor) if self.phasor != 0 else None

    @property
    def low(self) -> float:
        """The least that the coherence can have been."""
        return max(0.0, self.coherence - self.bound)

    @property
    def high(self) -> float:
        """The most that the coherence can have been."""
        return min(1.0, self.coherence + self.bound)

    def p(self, correlation: float = 1.0) -> float:
        """How often unrelated phases are as coherent as the estimate.

        Parameters
        ----------
        correlation : float
            Insertions per independent one, ≥ 1 (Bartlett's Σρ). 1 is right only for independent phases.

        Raises
        ------
        KernelError
            When ``correlation`` is below 1.
        """
        if not correlation >= 1.0:
            raise KernelError(f"correlation is {correlation!r}; it must be at least 1 insertion per independent one")
        return rayleigh_p(self.coherence, max(1.0, self.n_eff / correlation))


NOTHING = Reconstruction(0j, 1.0, 0.0, 0.0, 0, False)
"""A window in which nothing was ever inserted."""


def substitution_bound(kept: float, whole: float) -> float:
    """Return 2·(1 − m/n): how far the mean of n phasors in the unit disc may be from that of m of them.

    Parameters
    ----------
    kept, whole : float
        m and n, or the sums of their weights; 0 ≤ m ≤ n, n > 0.

    Raises
    ------
    KernelError
        When they are not in that order.
    """
    if not 0.0 <= kept <= whole or not 0.0 < whole < math.inf:
        raise KernelError(f"{kept!r} kept of {whole!r}; it must be 0 ≤ kept ≤ whole, and whole above 0 and finite")
    return 2.0 * (1.0 - kept / whole)


def window_mean(blocks: Blocks, start_us: int, end_us: int) -> Reconstruction:
    """Mean over the insertions in [start, end).

    Parameters
    ----------
    blocks : Blocks
        Disjoint blocks that hold all insertions of the range; at most two are not ``inside``.
    start_us, end_us : int
        The range. Of a block that is cut, the share that regular insertions would have in it is taken.
    """
    if not len(blocks):
        return NOTHING
    share = np.where(blocks.inside, 1.0, _share(blocks, start_us, end_us))
    weight = float(share @ blocks.weight)
    if weight <= 0.0:
        # Cut blocks only, in which regular insertions would all lie outside: any of their phases is as good.
        share = np.ones(len(blocks))
        weight = float(blocks.weight.sum())
    estimate = complex(share @ blocks.total) / weight
    n_eff = weight**2 / float(share @ blocks.square)
    cut = ~blocks.inside
    if not cut.any():
        return Reconstruction(estimate, 0.0, weight, n_eff, 0, True)
    whole_sum = complex(blocks.total[blocks.inside].sum())
    whole = float(blocks.weight[blocks.inside].sum())
    coarse = int((blocks.last_us - blocks.first_us)[cut].max())
    bound = 1.0 + abs(estimate)
    if whole > 0.0:
        reached = _furthest(whole_sum, whole, blocks.total[cut], blocks.weight[cut], estimate)
        crude = 2.0 * float((np.maximum(share, 1.0 - share) * blocks.weight)[cut].sum()) / weight
        bound = min(bound, reached, crude)
    return Reconstruction(estimate, bound, weight, n_eff, coarse, True)


def _furthest(
    whole_sum: complex, whole: float, sums: NDArray[np.complex128], weights: NDArray[np.float64], estimate: complex
) -> float:
    """How far a mean of the whole blocks and of parts, of shares φ, of one or two cut ones may be from the estimate.

    On each cell of a grid of φ: the mean of shares of the sums is linear-fractional in φ, so its distance from the
    estimate is quasiconvex and greatest at a corner; to it comes, by fact 2, as much as the parts may stray.
    """
    stray = weights * _spread(np.abs(sums) / weights)
    if weights.shape[0] == 1:
        sums, weights, stray = np.append(sums, 0.0), np.append(weights, 0.0), np.append(stray, 0.0)
    number = whole_sum + _SHARES[:, None] * sums[0] + _SHARES * sums[1]
    divisor = whole + _SHARES[:, None] * weights[0] + _SHARES * weights[1]
    apart = np.abs(number / divisor - estimate)
    corner = np.maximum(np.maximum(apart[1:, 1:], apart[1:, :-1]), np.maximum(apart[:-1, 1:], apart[:-1, :-1]))
    parts = stray[0] * _STRAYING[:, None] + stray[1] * _STRAYING
    return float((corner + parts / divisor[:-1, :-1]).max())


def leaky_mean(blocks: Blocks, time_us: int, tau_us: float) -> Reconstruction:
    """Mean over the insertions up to a time, each weighted by e^{−age/τ}: what a leaky mean would have published.

    Parameters
    ----------
    blocks : Blocks
        Disjoint blocks that hold all insertions up to ``time_us``.
    time_us : int
        The moment asked about.
    tau_us : float
        τ in microseconds, > 0.
    """
    if not len(blocks):
        return NOTHING
    first, last = blocks.first_us, np.minimum(blocks.last_us, time_us)
    # As seen from the newest insertion, so that the ratio stands however long the silence.
    now = int(last.max())
    high = np.exp((last - now) / tau_us)
    low = np.where(blocks.inside, np.exp((first - now) / tau_us), 0.0)
    share = np.where(blocks.inside, 1.0, _share(blocks, blocks.first_us.min(), time_us + 1))
    # The mean of e^{−age/τ} over regular insertions: a geometric series.
    steps = np.maximum(blocks.count * share - 1.0, 1.0)
    fall = (last - first) / tau_us / steps
    number = steps + 1.0
    single = (blocks.count == 1) | (fall == 0.0)
    series = np.where(single, 1.0, np.expm1(-number * fall) / (number * np.expm1(-np.where(single, 1.0, fall))))
    used = share * high * series
    weight = float(used @ blocks.weight)
    if weight <= 0.0:
        used = high
        weight = float(used @ blocks.weight)
    estimate = complex(used @ blocks.total) / weight
    n_eff = weight**2 / float((used * used) @ blocks.square)
    delta = np.maximum(np.maximum(used - low, high - used), 0.0) * blocks.weight
    unsure = delta > 1e-15 * blocks.weight
    coarse = int((blocks.last_us - blocks.first_us)[unsure].max()) if unsure.any() else 0
    bound = min(1.0 + abs(estimate), 2.0 * float(delta.sum()) / weight)
    least = float(low @ blocks.weight)
    if least > 0.0:
        reach = np.abs(blocks.phasor - estimate) + _spread(blocks.coherence)
        bound = min(bound, float(delta @ reach) / least)
    return Reconstruction(estimate, bound, weight, n_eff, coarse, True)


def _share(blocks: Blocks, start_us: int, end_us: int) -> NDArray[np.float64]:
    """Share of each block's insertions in [start, end) if they were regular from its first to its last."""
    spacing = (blocks.last_us - blocks.first_us) / np.maximum(blocks.count - 1, 1)
    spacing = np.maximum(spacing, 1e-9)
    before = np.clip(np.ceil((start_us - blocks.first_us) / spacing - 1e-9), 0.0, blocks.count)
    until = np.clip(np.ceil((end_us - blocks.first_us) / spacing - 1e-9), 0.0, blocks.count)
    share: NDArray[np.float64] = (until - before) / blocks.count
    return share


def _spread(coherence: NDArray[np.float64]) -> NDArray[np.float64]:
    """√(1 − R²), rounded up: what a light insertion says may be lost beside a heavy one in the same block."""
    return np.sqrt(np.maximum(0.0, 1.0 - coherence * coherence) + _ROUNDING)
