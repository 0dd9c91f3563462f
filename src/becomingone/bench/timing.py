"""Times two things against each other, on a machine that others use too."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Paired:
    """Seconds a call.

    Parameters
    ----------
    baseline_s, ours_s : float
        Of the best round: what the code costs when nobody disturbs.
    ratio : float
        Median of the rounds' ratios, ours over baseline: what disturbs a round disturbs both.
    """

    baseline_s: float
    ours_s: float
    ratio: float


def paired(baseline: Callable[[], object], ours: Callable[[], object], *, rounds: int, calls: int) -> Paired:
    """Time both in turn, round by round, so many calls of each in a round (≥ 1)."""
    return _rounds(lambda call: _mean(call, calls), baseline, ours, rounds)


def paired_fresh(
    baseline: Callable[[], object],
    ours: Callable[[], object],
    prepare: Callable[[], object],
    *,
    rounds: int,
    calls: int,
) -> Paired:
    """Do the same, with ``prepare`` called before every call, untimed."""

    def mean(call: Callable[[], object]) -> float:
        spent = 0.0
        for _ in range(calls):
            prepare()
            spent += _mean(call, 1)
        return spent / calls

    return _rounds(mean, baseline, ours, rounds)


def _rounds(
    mean: Callable[[Callable[[], object]], float],
    baseline: Callable[[], object],
    ours: Callable[[], object],
    rounds: int,
) -> Paired:
    times = [(mean(baseline), mean(ours)) for _ in range(rounds)]
    ratio = statistics.median(mine / theirs for theirs, mine in times)
    return Paired(min(theirs for theirs, _ in times), min(mine for _, mine in times), ratio)


def _mean(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls
