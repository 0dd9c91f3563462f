"""The table behind a pyramid: dyadic blocks on many levels, of which each keeps its newest.

Level l holds blocks of leaf·2^l microseconds in a ring: block b lies in slot b mod ``keep``. A block is the sum of all
insertions into its interval for as long as it is kept, so late insertions go to every level that still keeps theirs,
and nothing depends on the order. The coarsest level keeps everything: levels are added as the time covered grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from becomingone.kairos.memory.blocks import BLOCK, halved, joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Want = Callable[[NDArray[np.void]], NDArray[np.bool_]]


class BlockStore:
    """Blocks of one stream; arguments are checked by :class:`becomingone.kairos.memory.pyramid.Pyramid`.

    Parameters
    ----------
    leaf_us : int
        Length of the finest block in microseconds.
    keep : int
        Blocks kept on each level, even.
    """

    __slots__ = ("count", "keep", "leaf_us", "newest_us", "oldest_us", "table")

    def __init__(self, leaf_us: int, keep: int) -> None:
        self.leaf_us: int = leaf_us
        self.keep: int = keep
        self.oldest_us: int = 0
        self.newest_us: int = 0
        self.count: int = 0
        # One row per level. A slot may still hold a block that is too old for its level; it does not count.
        self.table: NDArray[np.void] = np.zeros((1, keep), dtype=BLOCK)

    @property
    def levels(self) -> int:
        """Number of levels."""
        return int(self.table.shape[0])

    def least(self, level: int) -> int:
        """Return the oldest block of a level that is still kept: even, so that siblings go together."""
        return self._least(level, self.newest_us)

    def _least(self, level: int, newest_us: int) -> int:
        least = ((newest_us // self.leaf_us) >> level) - self.keep + 1
        return least + (least & 1)

    def add(self, table: NDArray[np.void]) -> None:
        """Add leaves, n ≥ 1, ascending."""
        self.reach(int(table["first"].min()), int(table["last"].max()))
        self.count += int(table["count"].sum())
        levels = self.levels
        if table.shape[0] == 1:
            column = np.repeat(table, levels)
            column["block"] >>= np.arange(levels)
            self.fold(np.arange(levels), column)
            return
        for level in range(levels):
            if level:
                table = halved(table)
            self.fold(np.full(len(table), level, dtype=np.intp), table)

    def reach(self, oldest_us: int, newest_us: int) -> None:
        """Add levels until the coarsest can hold all from the oldest to the newest time, then move on to them."""
        if self.count:
            oldest_us, newest_us = min(oldest_us, self.oldest_us), max(newest_us, self.newest_us)
        while (oldest_us // self.leaf_us) >> (self.levels - 1) < self._least(self.levels - 1, newest_us):
            top = self.table[-1]
            top = top[top["count"] > 0]
            row = np.zeros((1, self.keep), dtype=BLOCK)
            if top.shape[0]:
                table = halved(top[np.argsort(top["block"])])
                row[0, table["block"] % self.keep] = table
            self.table = np.concatenate((self.table, row))
        self.oldest_us, self.newest_us = oldest_us, newest_us

    def fold(self, level: NDArray[np.intp], table: NDArray[np.void]) -> None:
        """Add blocks, each at most once, to those of their levels that are still kept."""
        least = np.array([self.least(row) for row in range(self.levels)])
        kept = table["block"] >= least[level]
        level, table = level[kept], table[kept]
        slot = table["block"] % self.keep
        self.table[level, slot] = joined(self.table[level, slot], table)

    def tiles(self, start_us: int, end_us: int, want: Want) -> tuple[NDArray[np.intp], NDArray[np.void]]:
        """Levels and blocks that hold all insertions of [start, end): coarse ones, split where need be.

        A block is split when the range cuts it, or ``want`` says so, as long as its halves are kept.
        """
        found_level: list[NDArray[np.intp]] = []
        found: list[NDArray[np.void]] = []
        level = self.levels - 1
        table = self.table[level]
        while True:
            table = table[(table["count"] > 0) & (table["first"] < end_us) & (table["last"] >= start_us)]
            split = np.zeros(table.shape[0], dtype=np.bool_)
            if level:
                cut = (table["first"] < start_us) | (table["last"] >= end_us)
                split = (cut | want(table)) & (2 * table["block"] >= self.least(level - 1))
            found.append(table[~split])
            found_level.append(np.full(len(found[-1]), level, dtype=np.intp))
            if not split.any():
                return np.concatenate(found_level), np.concatenate(found)
            child = (2 * table["block"][split, None] + np.arange(2)).ravel()
            level -= 1
            table = self.table[level, child % self.keep]
            table = table[table["block"] == child]

    def kept(self) -> tuple[NDArray[np.intp], NDArray[np.void]]:
        """Levels and blocks that hold anything and are not too old for their level, in order."""
        levels: list[NDArray[np.intp]] = []
        tables: list[NDArray[np.void]] = []
        for level, row in enumerate(self.table):
            table = row[(row["count"] > 0) & (row["block"] >= self.least(level))]
            tables.append(table[np.argsort(table["block"])])
            levels.append(np.full(len(table), level, dtype=np.intp))
        return np.concatenate(levels), np.concatenate(tables)

    def copy(self) -> BlockStore:
        """Return a store of its own with the same content."""
        store = BlockStore(self.leaf_us, self.keep)
        store.oldest_us, store.newest_us, store.count = self.oldest_us, self.newest_us, self.count
        store.table = self.table.copy()
        return store
