"""Is it a connection, or would any two rhythms like these go together so well? The recording itself tells.

One channel is shifted in time against the other: their rhythms stay what they are, any connection is lost. A figure
counts only if the true alignment does better than nearly all others. Shifts are circular, so that every one uses the
same samples and, of stationary fluctuations, the rank of the true one among all is exactly uniform by chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.pairs.fluctuation import (
    LEAST_COVERAGE,
    fluctuations,
    mean_turn,
    smooth_length,
    trend_ticks,
    unit_phasors,
)
from becomingone.kairos.pairs.time_shifts import CHANCE_LEVEL, ShiftTest, all_shifts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GroupTest", "ShiftTest", "fluctuation_shift_test", "group_shift_test", "plv_shift_test"]

_TIE: Final = 1e-12
_LARGEST_POWER: Final = 700.0


@dataclass(frozen=True, slots=True)
class GroupTest:
    """What the true alignment of all channels is worth.

    Parameters
    ----------
    value : float
        Mean correlation of all pairs, −1..1; NaN, and p = 1, when fewer than two channels fluctuate.
    chance : float
        What 1 % of the surrogates exceed.
    p : float
        Share of surrogates that do at least as well, the true one counted in; never below 1/(independent + 1).
    independent : float
        Independent ways to shift all channels but one: the product of each one's; may be infinite.
    """

    value: float
    chance: float
    p: float
    independent: float


def plv_shift_test(phasors: NDArray[np.complex128]) -> ShiftTest:
    """Test the phase-locking value of every pair against time shifts.

    Before shifting, each channel's ends are made to meet, by the smallest change of its frequency that does (at most
    half a turn over the record): otherwise every surrogate has a jump at the join that the truth has not, and the
    truth wins too often.

    Parameters
    ----------
    phasors : ndarray of complex, shape (n_ticks, n_channels)
        Uniform ticks; 0, NaN, infinities: no phase. The oldest few ticks may be dropped for a length that is fast.

    Returns
    -------
    ShiftTest
        The PLV of the channels with their ends joined.

    Raises
    ------
    KernelError
        When there are fewer than 2 ticks or 2 channels.

    Notes
    -----
    A steady rhythm is like itself at every shift: ``independent`` is then near 1 and nothing can be claimed. That is
    the answer, not a failure; ask :func:`fluctuation_shift_test`.
    """
    u = unit_phasors(phasors)
    u = _joined(u[u.shape[0] - smooth_length(u.shape[0]) :])
    return all_shifts(u, u != 0.0)


def fluctuation_shift_test(phasors: NDArray[np.complex128], spacing_s: float, trend_s: float) -> ShiftTest:
    """Test the correlation of the detrended phase fluctuations of every pair against time shifts.

    Parameters
    ----------
    phasors, spacing_s, trend_s
        As for :func:`becomingone.kairos.pairs.fluctuation.fluctuations`.

    Returns
    -------
    ShiftTest
        The correlation, −1..1; p is one-sided, for a positive one.

    Raises
    ------
    KernelError
        When a shape or a time is out of its range.

    Notes
    -----
    It answers whether the two share their irregularity. Two channels locked to one strict clock, without any
    irregularity of their own, are locked and do not pass.
    """
    x, known = _usable(phasors, spacing_s, trend_s)
    return all_shifts(x, known)


def group_shift_test(
    phasors: NDArray[np.complex128],
    spacing_s: float,
    trend_s: float,
    *,
    rng: np.random.Generator,
    surrogates: int = 999,
) -> GroupTest:
    """Test whether the channels, taken together, share their phase fluctuations.

    Every channel is shifted by a time of its own, so there are many more independent surrogates than for a pair.

    Parameters
    ----------
    phasors, spacing_s, trend_s
        As for :func:`becomingone.kairos.pairs.fluctuation.fluctuations`.
    rng : Generator
        Source of the shifts.
    surrogates : int
        ≥ 1.

    Raises
    ------
    KernelError
        When a shape, a time or the number of surrogates is out of its range.

    Notes
    -----
    A small p says that some of the channels are connected, not that all are.
    """
    if surrogates < 1:
        raise KernelError(f"surrogates is {surrogates!r}; at least 1 needed")
    x, known = _usable(phasors, spacing_s, trend_s)
    size = np.sqrt((x * x).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    moving = size > 0.0
    if int(moving.sum()) < 2:
        return GroupTest(value=math.nan, chance=math.nan, p=1.0, independent=0.0)
    x, known = x[:, moving] / size[moving], known[:, moving]
    n, channels = x.shape
    true, others = _group_figures(x, known, rng.integers(0, n, (surrogates, channels)))
    count = known.sum(axis=1).astype(np.float64)
    scale = 1.0 / math.sqrt(max(1.0, float(count @ count - count.sum())))
    # Each channel but one may be put anywhere, in so many independent ways as its pairs have on average.
    ways = np.log(np.maximum(1.0, all_shifts(x, known).independent))
    each = (ways.sum(axis=1) - np.diag(ways)) / (channels - 1)
    power = float(each.sum() - each.max())
    independent = math.exp(power) if power < _LARGEST_POWER else math.inf
    reached = (1 + int((others >= true - _TIE).sum())) / (1 + surrogates)
    return GroupTest(
        value=true * scale,
        chance=float(np.quantile(others, CHANCE_LEVEL)) * scale,
        p=max(reached, 1.0 / (1.0 + independent)),
        independent=independent,
    )


def _group_figures(
    x: NDArray[np.float64], known: NDArray[np.bool_], shifts: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Σ over pairs of their products, over the root of how many there are: as recorded, and for each row of shifts."""
    n, channels = x.shape
    twice = np.tile(x.T, 2)
    mask = np.tile(known.T.astype(np.float64), 2)
    own = float((x * x).sum())
    complete = bool(known.all())

    def of(row: list[int]) -> float:
        total = np.zeros(n)
        for signal, shift in zip(twice, row, strict=True):
            total += signal[shift : shift + n]
        products = float(total @ total) - own
        if complete:
            return products / math.sqrt(n * channels * (channels - 1))
        count = np.zeros(n)
        for present, shift in zip(mask, row, strict=True):
            count += present[shift : shift + n]
        return products / math.sqrt(max(1.0, float(count @ count - count.sum())))

    rows: list[list[int]] = shifts.tolist()
    return of([0] * channels), np.array([of(row) for row in rows])


def _usable(
    phasors: NDArray[np.complex128], spacing_s: float, trend_s: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return fluctuations with mean 0, without the ends at which none is known, in a length that is fast."""
    x, known = fluctuations(phasors, spacing_s, trend_s)
    n = x.shape[0]
    half = trend_ticks(spacing_s, trend_s)
    window = np.hanning(2 * half + 3)[1:-1]
    # At the ends the window is cut: so many ticks from them it holds half of its weight.
    reach: NDArray[np.float64] = np.cumsum(window[half:]) * 2.0 - window[half]
    edge = int(np.searchsorted(reach, LEAST_COVERAGE * float(window.sum())))
    if n > 2 * edge + 1:
        x, known = x[edge : n - edge], known[edge : n - edge]
    start = x.shape[0] - smooth_length(x.shape[0])
    x, known = x[start:], known[start:]
    mean = x.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, x - mean, 0.0), known


def _joined(u: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Turn each channel at a constant rate so that its end runs on into its beginning."""
    n = u.shape[0]
    out = u.copy()
    for i, turn in enumerate(mean_turn(u).tolist()):
        present = np.flatnonzero(u[:, i])
        if present.shape[0]:
            first, last = int(present[0]), int(present[-1])
            on = u[last, i] * np.exp(1j * turn * (n - last + first))
            out[:, i] *= np.exp(1j * np.angle(u[first, i] * np.conj(on)) * np.arange(n, dtype=np.float64) / n)
    return out
