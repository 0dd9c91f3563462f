"""Blocks of time: what a memory keeps of all phasors in a dyadic interval, and how two blocks become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK: Final = np.dtype(
    [
        ("block", np.int64),  # index on its level: it covers [block, block + 1)·leaf·2^level
        ("count", np.int64),
        ("sum", np.complex128),
        ("weight", np.float64),
        ("square", np.float64),
        ("first", np.int64),
        ("last", np.int64),
    ]
)
"""One block: 64 bytes. ``first`` and ``last`` are the times of its earliest and latest insertion."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Blocks in the order of time, disjoint; all arrays of shape (n,).

    Parameters
    ----------
    start_us, end_us : ndarray of int
        The interval [start, end) that each covers.
    first_us, last_us : ndarray of int
        Times of the earliest and the latest insertion in it.
    count : ndarray of int
        Number of insertions, ≥ 1; blocks without any are not listed.
    total : ndarray of complex
        Σw·u.
    weight : ndarray of float
        Σw, > 0.
    square : ndarray of float
        Σw².
    inside : ndarray of bool
        Whether all of its insertions lie in the range asked for.
    """

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    count: NDArray[np.int64]
    total: NDArray[np.complex128]
    weight: NDArray[np.float64]
    square: NDArray[np.float64]
    inside: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        table: NDArray[np.void],
        length_us: NDArray[np.int64],
        inside: NDArray[np.bool_],
    ) -> Blocks:
        """Sort blocks of any levels by time.

        Parameters
        ----------
        table : ndarray of BLOCK, shape (n,)
        length_us : ndarray of int, shape (n,)
            Length of each block's interval.
        inside : ndarray of bool, shape (n,)
        """
        order = np.argsort(table["first"], kind="stable")
        table, length_us = table[order], length_us[order]
        start = table["block"] * length_us
        return cls(
            start_us=start,
            end_us=start + length_us,
            first_us=table["first"].copy(),
            last_us=table["last"].copy(),
            count=table["count"].copy(),
            total=table["sum"].copy(),
            weight=table["weight"].copy(),
            square=table["square"].copy(),
            inside=inside[order],
        )

    def __len__(self) -> int:
        return int(self.count.shape[0])

    @property
    def phasor(self) -> NDArray[np.complex128]:
        """Mean phasor Σw·u/Σw of each, in the unit disc."""
        mean: NDArray[np.complex128] = self.total / self.weight
        return mean

    @property
    def coherence(self) -> NDArray[np.float64]:
        """|Σw·u|/Σw of each, 0..1."""
        return np.minimum(np.abs(self.phasor), 1.0)

    @property
    def n_eff(self) -> NDArray[np.float64]:
        """(Σw)²/Σw² of each: the effective number of insertions, independent or not."""
        number: NDArray[np.float64] = self.weight**2 / self.square
        return number


def leaves(
    time_us: NDArray[np.int64], phasor: NDArray[np.complex128], weight: NDArray[np.float64], leaf_us: int
) -> NDArray[np.void]:
    """Sum insertions, n ≥ 1 in any order, into the leaves they fall in; blocks ascending."""
    if (np.diff(time_us) < 0).any():
        order = np.argsort(time_us, kind="stable")
        time_us, phasor, weight = time_us[order], phasor[order], weight[order]
    block = time_us // leaf_us
    edges = _edges(block)
    out = np.zeros(edges.shape[0], dtype=BLOCK)
    out["block"] = block[edges]
    out["count"] = np.diff(edges, append=time_us.shape[0])
    out["sum"] = np.add.reduceat(weight * phasor, edges)
    out["weight"] = np.add.reduceat(weight, edges)
    out["square"] = np.add.reduceat(weight * weight, edges)
    out["first"] = time_us[edges]
    out["last"] = time_us[np.append(edges[1:], time_us.shape[0]) - 1]
    return out


def halved(table: NDArray[np.void]) -> NDArray[np.void]:
    """Join blocks, ascending, to those of the level above."""
    block = table["block"] >> 1
    edges = _edges(block)
    if edges.shape[0] == table.shape[0]:
        out = table.copy()
        out["block"] = block
        return out
    out = np.zeros(edges.shape[0], dtype=BLOCK)
    out["block"] = block[edges]
    for name in ("count", "sum", "weight", "square"):
        out[name] = np.add.reduceat(table[name], edges)
    out["first"] = table["first"][edges]
    out["last"] = table["last"][np.append(edges[1:], table.shape[0]) - 1]
    return out


def joined(old: NDArray[np.void], new: NDArray[np.void]) -> NDArray[np.void]:
    """Add two sums over the same intervals; where ``old`` holds another interval, or nothing, ``new`` replaces it."""
    same = (old["block"] == new["block"]) & (old["count"] > 0)
    out = new.copy()
    if same.any():
        for name in ("count", "sum", "weight", "square"):
            out[name] += np.where(same, old[name], 0)
        out["first"] = np.where(same, np.minimum(old["first"], new["first"]), new["first"])
        out["last"] = np.where(same, np.maximum(old["last"], new["last"]), new["last"])
    return out


def _edges(block: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where a new block begins in an ascending row."""
    return np.flatnonzero(np.diff(block, prepend=block[0] - 1))
