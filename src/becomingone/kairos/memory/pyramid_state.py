"""A pyramid's content as plain values and arrays, and back: what a store of the caller's keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.memory.block_store import BlockStore
from becomingone.kairos.memory.blocks import BLOCK
from becomingone.kairos.memory.intake import MAX_TIME_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LEVELS: Final = 64
"""Blocks of one microsecond need no more for all times within ±2^60."""


class PyramidState(TypedDict):
    """The whole content of a pyramid: plain values, and arrays of shape (n,), one row per block that holds anything."""

    leaf_us: int
    keep: int
    oldest_us: int
    newest_us: int
    levels: int
    level: NDArray[np.int64]
    block: NDArray[np.int64]
    """Index: the block covers [block, block + 1)·leaf_us·2^level microseconds."""
    count: NDArray[np.int64]
    sum: NDArray[np.complex128]
    weight: NDArray[np.float64]
    square: NDArray[np.float64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def exported(store: BlockStore) -> PyramidState:
    """Return a copy of the content: blocks that are still kept, by level and time."""
    level, table = store.kept()
    return {
        "leaf_us": store.leaf_us,
        "keep": store.keep,
        "oldest_us": store.oldest_us,
        "newest_us": store.newest_us,
        "levels": store.levels,
        "level": level.astype(np.int64),
        "block": table["block"].copy(),
        "count": table["count"].copy(),
        "sum": table["sum"].copy(),
        "weight": table["weight"].copy(),
        "square": table["square"].copy(),
        "first": table["first"].copy(),
        "last": table["last"].copy(),
    }


def imported(state: PyramidState) -> BlockStore:
    """Make a store from what ``exported`` gave.

    Raises
    ------
    KernelError
        When the arrays cannot have come from one. ``leaf_us`` and ``keep`` are checked by the caller.
    """
    store = BlockStore(state["leaf_us"], state["keep"])
    level = np.asarray(state["level"])
    columns = {
        "block": state["block"],
        "count": state["count"],
        "sum": state["sum"],
        "weight": state["weight"],
        "square": state["square"],
        "first": state["first"],
        "last": state["last"],
    }
    if level.ndim != 1 or any(column.shape != level.shape for column in columns.values()):
        raise KernelError("a pyramid's state needs arrays of one length")
    table = np.zeros(level.shape[0], dtype=BLOCK)
    for name, column in columns.items():
        table[name] = column
    oldest, newest, levels = state["oldest_us"], state["newest_us"], state["levels"]
    if not 1 <= levels <= MAX_LEVELS or not -MAX_TIME_US <= oldest <= newest <= MAX_TIME_US:
        raise KernelError("a pyramid's state has times that run backwards, or no levels")
    store.oldest_us, store.newest_us = oldest, newest
    store.table = np.zeros((levels, store.keep), dtype=BLOCK)
    if ((level < 0) | (level >= levels)).any() or not _sound(level, table, store):
        raise KernelError("a pyramid's state has a block that cannot be: check levels, times, sums and weights")
    store.table[level, table["block"] % store.keep] = table
    store.count = int(table["count"][level == levels - 1].sum())
    return store


def _sound(level: NDArray[np.int64], table: NDArray[np.void], store: BlockStore) -> bool:
    """Whether blocks could have come from a store with these times and levels."""
    finite = all(bool(np.isfinite(table[name]).all()) for name in ("sum", "weight", "square"))
    least = np.array([store.least(row) for row in range(store.levels)])
    possible: NDArray[np.bool_] = (
        (table["count"] > 0)
        & (table["weight"] > 0.0)
        & (table["square"] > 0.0)
        & (np.abs(table["sum"]) <= table["weight"] * (1.0 + 1e-9))
        & (store.oldest_us <= table["first"])
        & (table["first"] <= table["last"])
        & (table["last"] <= store.newest_us)
        & ((table["first"] // store.leaf_us) >> level == table["block"])
        & ((table["last"] // store.leaf_us) >> level == table["block"])
        & (table["block"] >= least[level])
    )
    pairs = np.stack((level, table["block"]), axis=1)
    return finite and bool(possible.all()) and np.unique(pairs, axis=0).shape[0] == level.shape[0]
