"""Associative recall: the past moments most like the present pattern of phases.

A pattern is one phasor per channel, 0 where a channel is absent. Its likeness to a past one is the inner product over
both moduli, ρ = Σb·a*/(|a||b|): the modulus for a *pattern* of phase differences, which a common rotation leaves as it
is, the real part for the *absolute* phases. Channels that one of the two lacks add nothing above and all they weigh
below, so ρ = (likeness over the shared channels) × √(share of a's energy × share of b's energy that is shared).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.memory.chance import chance_absolute, chance_pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Kind = Literal["pattern", "absolute"]

_CHUNK_BYTES: Final = 2**20  # so that the passes over a chunk find it in the cache


@dataclass(frozen=True, slots=True, eq=False)
class Recollections:
    """Past moments, the best first; arrays of shape (k,), k at most what was asked for.

    Parameters
    ----------
    index : ndarray of int
        Rows of the moments searched.
    time_us : ndarray of int
        Their times.
    similarity : ndarray of float
        ρ, 0..1 for patterns, −1..1 for absolute phases.
    rotation : ndarray of float
        arg Σb·a* in radians, −π..π: by how much the past pattern is turned against the present one.
    overlap : ndarray of int
        Channels that both have.
    p : ndarray of float
        How often unrelated phases in the shared channels are as alike; see :mod:`becomingone.kairos.memory.chance`.
    p_any : ndarray of float
        min(1, p × searched): how often the best of as many unrelated moments is (Bonferroni).
    searched : int
        Moments that were compared: in time, with enough overlap, finite.
    typical : float
        Median similarity of those; NaN when there were none. Where it is near the best, the pattern is nothing
        special: p compares with *unrelated phases*, not with the other moments.
    """

    index: NDArray[np.intp]
    time_us: NDArray[np.int64]
    similarity: NDArray[np.float64]
    rotation: NDArray[np.float64]
    overlap: NDArray[np.intp]
    p: NDArray[np.float64]
    p_any: NDArray[np.float64]
    searched: int
    typical: float


def similarity(
    present: NDArray[np.complex128],
    moments: NDArray[np.complex128] | NDArray[np.complex64],
    *,
    kind: Kind = "pattern",
    least_overlap: int = 3,
) -> NDArray[np.float64]:
    """Return the likeness of each moment to the present pattern.

    Parameters
    ----------
    present : ndarray of complex, shape (c,)
        The pattern now; 0 where a channel is absent, the modulus its weight (coherence).
    moments : ndarray of complex, shape (m, c)
        Past patterns alike, of either precision. They are read in chunks: beside them and the result it takes a
        megabyte or two.
    kind : {"pattern", "absolute"}
        Whether a common rotation matters.
    least_overlap : int
        Channels that both must have; at least 2 for a pattern (one phase alone is like any other), 1 for absolute.

    Returns
    -------
    ndarray of float, shape (m,)
        ρ; NaN for a moment with too little overlap or a value that is not finite.

    Raises
    ------
    KernelError
        When shapes do not match or a value is out of its range.
    """
    _check(present, moments, kind, least_overlap)
    out = np.full(moments.shape[0], np.nan)
    columns = np.flatnonzero(present)
    if columns.shape[0] < least_overlap:
        return out
    direction = np.conj(_scaled(present))
    direction /= np.linalg.norm(direction)
    everywhere = columns.shape[0] == present.shape[0]
    rows = max(1, _CHUNK_BYTES // (16 * present.shape[0]))
    for start in range(0, moments.shape[0], rows):
        chunk = np.ascontiguousarray(moments[start : start + rows], dtype=np.complex128)
        flat = chunk.view(np.float64)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            inner = chunk @ direction
            part = np.abs(inner) if kind == "pattern" else inner.real
            energy = np.einsum("ij,ij->i", flat, flat)
            likeness = part / np.sqrt(energy)
            shared = np.count_nonzero(chunk if everywhere else chunk[:, columns], axis=1)
            # Otherwise squares vanished or overflowed, or a value was not finite.
            likeness[(shared < least_overlap) | ~((energy > 0.0) & (energy < np.inf))] = np.nan
        np.clip(likeness, -1.0, 1.0, out=out[start : start + rows])
    return out


def recall(
    present: NDArray[np.complex128],
    moments: NDArray[np.complex128] | NDArray[np.complex64],
    time_us: NDArray[np.int64],
    *,
    count: int = 5,
    kind: Kind = "pattern",
    least_overlap: int = 3,
    apart_us: int = 0,
    before_us: int | None = None,
    strength: NDArray[np.float64] | None = None,
) -> Recollections:
    """Return the past moments that are most like the present one.

    Parameters
    ----------
    present, moments, kind, least_overlap
        As for :func:`similarity`.
    time_us : ndarray of int, shape (m,)
        Times of the moments, ascending.
    count : int
        k ≥ 1.
    apart_us : int
        Of moments closer than this only the best is taken, so that k recollections are k occasions; ≥ 0.
    before_us : int, optional
        Only moments before this; the present is otherwise most like itself.
    strength : ndarray of float, shape (m,), optional
        0..1; the order is then that of similarity × strength (:func:`becomingone.kairos.memory.forgetting.strength`).

    Raises
    ------
    KernelError
        When shapes do not match, times do not ascend or a value is out of its range.

    Notes
    -----
    A present with fewer channels than ``least_overlap`` recalls nothing; that is no error. Of equal ones the earliest
    is taken first.
    """
    _check(present, moments, kind, least_overlap)
    times = np.asarray(time_us)
    if times.shape != moments.shape[:1] or times.dtype.kind not in "iu" or (times[1:] < times[:-1]).any():
        raise KernelError("time_us must be one whole number of microseconds per moment, ascending")
    if count < 1 or apart_us < 0:
        raise KernelError(f"count is {count!r} and apart_us {apart_us!r}; at least 1 and 0 are needed")
    times = times.astype(np.int64)
    until = times.shape[0] if before_us is None else int(np.searchsorted(times, before_us))
    if strength is not None and (strength.shape != times.shape or not ((strength >= 0.0) & (strength <= 1.0)).all()):
        raise KernelError("strength must be one value within 0..1 per moment")
    like = similarity(present, moments[:until], kind=kind, least_overlap=least_overlap)
    valid = ~np.isnan(like)
    searched = int(valid.sum())
    rank = np.where(valid, like if strength is None else like * strength[:until], -np.inf)
    found: list[int] = []
    while len(found) < min(count, searched):
        best = int(rank.argmax())
        if rank[best] == -np.inf:
            break
        found.append(best)
        near = np.searchsorted(times[:until], (times[best] - apart_us + 1, times[best] + apart_us))
        rank[near[0] : near[1]] = -np.inf
        rank[best] = -np.inf
    index = np.array(found, dtype=np.intp)
    rows = np.zeros((index.shape[0], present.shape[0]), dtype=np.complex128)
    for row, best in zip(rows, found, strict=True):
        row[:] = _scaled(moments[best])
    both = rows * np.conj(_scaled(present))
    inner = both.sum(axis=1)
    chance = chance_pattern if kind == "pattern" else chance_absolute
    shown = np.abs(inner) if kind == "pattern" else inner.real
    p = np.array([chance(np.abs(row), x) for row, x in zip(both, shown.tolist(), strict=True)])
    return Recollections(
        index=index,
        time_us=times[index],
        similarity=like[index],
        rotation=np.angle(inner),
        overlap=np.count_nonzero(both, axis=1),
        p=p,
        p_any=np.minimum(1.0, p * searched),
        searched=searched,
        typical=float(np.median(like[valid])) if searched else float("nan"),
    )


def _scaled(pattern: NDArray[np.complex128] | NDArray[np.complex64]) -> NDArray[np.complex128]:
    """Return a pattern with a greatest modulus of 1, so that no product overflows or vanishes."""
    wide: NDArray[np.complex128] = np.asarray(pattern, dtype=np.complex128)
    scaled: NDArray[np.complex128] = wide / (np.abs(wide).max(initial=0.0) or 1.0)
    return scaled


def _check(
    present: NDArray[np.complex128],
    moments: NDArray[np.complex128] | NDArray[np.complex64],
    kind: Kind,
    least_overlap: int,
) -> None:
    if present.ndim != 1 or moments.ndim != 2 or moments.shape[1] != present.shape[0]:
        raise KernelError(f"a pattern of shape {present.shape} and moments of {moments.shape}; need (c,) and (m, c)")
    if not (np.abs(present) <= 1e100).all():
        raise KernelError("the present pattern has a value that is not finite, or beyond 1e100")
    if kind not in ("pattern", "absolute"):
        raise KernelError(f"kind is {kind!r}; it must be 'pattern' or 'absolute'")
    if least_overlap < (2 if kind == "pattern" else 1):
        raise KernelError(f"least_overlap is {least_overlap!r}; a pattern needs 2 channels, absolute phases 1")
