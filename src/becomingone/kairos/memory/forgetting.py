"""Forgetting: how strong a remembered moment still is.

s(age) = C·k(age)/k(0): the coherence C that the moment had, times the logarithmic-time kernel. Phase-weighted in three
exact senses, and no more:

- beside others of its age a moment counts in proportion to its coherence, for ever;
- all fade at the same *rate*, −d ln s/dt = 1/age, coherent or not; but as s falls like 1/age, the time until it falls
  to a given level is in proportion to C (a single exponential would give τ·ln C, a little more only);
- of n moments with one phase the sums add up to n, of n unrelated ones to √n: what recurs in phase lasts √n times
  longer than what does not.

It is bookkeeping of weights, not a model of memory consolidation: nothing is ever strengthened by being recalled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.memory.log_time import LogTime

_HALVINGS: Final = 60
_SHORTEST_US: Final = 1e-12
_LONGEST_US: Final = 2.0**61


def strength(
    coherence: NDArray[np.float64], age_us: NDArray[np.int64] | NDArray[np.float64], log_time: LogTime
) -> NDArray[np.float64]:
    """Return the strength of moments.

    Parameters
    ----------
    coherence : ndarray of float, shape (n,)
        C when they were inserted, 0..1.
    age_us : ndarray, shape (n,)
        Now less their time, in microseconds, ≥ 0.
    log_time : LogTime
        The memory's kernel.

    Returns
    -------
    ndarray of float, shape (n,)
        0..1; C at age 0, about C/(k(0)·age) within the kernel's range.

    Raises
    ------
    KernelError
        When shapes differ or a value is out of its range.
    """
    if coherence.shape != age_us.shape:
        raise KernelError(f"shapes {coherence.shape} and {age_us.shape} of coherences and ages; they must be the same")
    if not ((coherence >= 0.0) & (coherence <= 1.0)).all():
        raise KernelError("a coherence is outside 0..1")
    age = np.asarray(age_us, dtype=np.float64)
    faded: NDArray[np.float64] = coherence * np.minimum(1.0, log_time.kernel(age) / log_time.weight.sum())
    return faded


def lifetime_us(coherence: float, level: float, log_time: LogTime) -> float:
    """Return the age at which a moment's strength has fallen to a level.

    Parameters
    ----------
    coherence : float
        C, 0..1.
    level : float
        0 < level < 1.
    log_time : LogTime
        The memory's kernel.

    Returns
    -------
    float
        Microseconds; 0 when C does not exceed the level. Within the kernel's range about C/(level·k(0)).

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    if not 0.0 <= coherence <= 1.0 or not 0.0 < level < 1.0:
        raise KernelError(f"coherence {coherence!r} and level {level!r}; they must be within 0..1, the level inside")
    if coherence <= level:
        return 0.0
    target = level / coherence * float(log_time.weight.sum())
    low, high = math.log(_SHORTEST_US), math.log(_LONGEST_US)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float(log_time.kernel(math.exp(middle))) > target else (low, middle)
    return math.exp(0.5 * (low + high))


def survivors(faded: NDArray[np.float64], keep: int) -> NDArray[np.intp]:
    """Return which moments to keep when there is room for so many: the strongest.

    Parameters
    ----------
    faded : ndarray of float, shape (n,)
        Strengths, in the order of time.
    keep : int
        How many may stay, ≥ 0.

    Returns
    -------
    ndarray of int, shape (min(n, keep),)
        Indices, ascending; of equal ones the later stay.

    Raises
    ------
    KernelError
        When a strength is not finite or ``keep`` is negative.

    Notes
    -----
    Under 1/age the order changes as time passes: an old strong moment ends up above a newer weak one. What is dropped
    now might have outlived what is kept; only under a single exponential the order is for ever.
    """
    if keep < 0 or not np.isfinite(faded).all() or faded.ndim != 1:
        raise KernelError("strengths must be finite and of shape (n,), and keep at least 0")
    order = np.argsort(faded, kind="stable")
    return np.sort(order[max(0, faded.shape[0] - keep) :])
