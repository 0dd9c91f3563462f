"""The past of one stream at all resolutions: sums over dyadic blocks of time, fine for what is near, coarse for old.

Level l holds blocks of leaf·2^l microseconds, of which the newest ``keep`` stay: what is long past is known to about
2/keep of its age. Memory is 64 bytes × keep × about (log₂(leaves/keep) + 1), however long the stream. Blocks are sums,
so a late insertion is added to every block that still covers its time, and the result does not depend on the order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.memory.block_store import BlockStore
from becomingone.kairos.memory.blocks import Blocks, leaves
from becomingone.kairos.memory.intake import MAX_TIME_US, checked
from becomingone.kairos.memory.pyramid_state import PyramidState, exported, imported
from becomingone.kairos.memory.reconstruct import Reconstruction, leaky_mean, window_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.memory.block_store import Want

FINENESS: Final = 256.0
"""A leaky mean is put together from blocks no longer than τ over this, times e^{age/2τ}: about 512 of them."""

_CHUNK: Final = 2**15  # so that what is summed stays in the cache


class Pyramid:
    """Dyadic block sums of one stream of phasors.

    The phasor must be one that stands still while the rhythm is steady, as for
    :class:`becomingone.kairos.memory.blend.Blend`.

    Parameters
    ----------
    leaf_us : int
        Length of the finest block in microseconds, 1..2^40: the tick, if single ticks of the near past matter.
    keep : int
        Blocks that stay on each level, even, 8..2^20.

    Raises
    ------
    KernelError
        When a value is out of its range.

    Notes
    -----
    Late insertions are welcome at any age; gaps cost nothing. A time from the future makes everything before it old:
    check clocks first. What has been thinned out does not come back.
    """

    __slots__ = ("_store",)

    def __init__(self, leaf_us: int, *, keep: int = 1024) -> None:
        if not 1 <= leaf_us <= 2**40:
            raise KernelError(f"leaf_us is {leaf_us!r}; it must be within 1..2^40 µs")
        if not 8 <= keep <= 2**20 or keep % 2:
            raise KernelError(f"keep is {keep!r}; it must be even and within 8..2^20")
        self._store = BlockStore(leaf_us, keep)

    @property
    def levels(self) -> int:
        """Number of levels; the coarsest holds everything."""
        return self._store.levels

    @property
    def nbytes(self) -> int:
        """Bytes of all blocks."""
        return int(self._store.table.nbytes)

    @property
    def count(self) -> int:
        """Number of insertions with a phase and a weight."""
        return self._store.count

    @property
    def oldest_us(self) -> int | None:
        """The earliest time inserted; None in an empty pyramid."""
        return self._store.oldest_us if self._store.count else None

    @property
    def newest_us(self) -> int | None:
        """The latest time inserted; None in an empty pyramid."""
        return self._store.newest_us if self._store.count else None

    def insert(self, time_us: int, phasor: complex, weight: float = 1.0) -> None:
        """Insert one phasor, at any time; as :meth:`insert_block` with arrays of one."""
        self.insert_block(np.array([time_us]), np.array([phasor], dtype=np.complex128), np.array([weight]))

    def insert_block(
        self,
        time_us: NDArray[np.int64],
        phasor: NDArray[np.complex128],
        weight: NDArray[np.float64] | None = None,
    ) -> None:
        """Insert phasors, in any order; O(levels) for one, O(1) each for many.

        Parameters
        ----------
        time_us : ndarray of int, shape (n,)
            Times in microseconds, |t| ≤ 2^60.
        phasor : ndarray of complex, shape (n,)
            In the unit disc; 0 is "no phase" and adds neither to sum nor weight.
        weight : ndarray of float, shape (n,), optional
            0, or 1e-100..1e100; default 1.

        Raises
        ------
        KernelError
            When a value is out of its range; nothing is then inserted.
        """
        times, u, w = checked(time_us, phasor, weight)
        for start in range(0, times.shape[0], _CHUNK):
            part = slice(start, start + _CHUNK)
            self._store.add(leaves(times[part], u[part], w[part], self._store.leaf_us))

    def _blocks(self, start_us: int, end_us: int, want: Want) -> Blocks:
        level, table = self._store.tiles(start_us, end_us, want)
        inside = (table["first"] >= start_us) & (table["last"] < end_us)
        return Blocks.of(table, self._store.leaf_us << level, inside)

    def retrieve(self, start_us: int, end_us: int, *, resolution_us: int = 0) -> Blocks:
        """Return the past in a range of time, as blocks.

        Parameters
        ----------
        start_us, end_us : int
            The range [start, end) in microseconds, start < end.
        resolution_us : int
            Blocks whose insertions span longer than this are split as far as memory goes; 0: the finest there are.

        Returns
        -------
        Blocks
            Disjoint, in the order of time, none empty. The first and the last may reach beyond the range
            (``inside`` is False) where memory is too coarse to cut them.

        Raises
        ------
        KernelError
            When the range is empty or a value is out of its range.
        """
        self._check_range(start_us, end_us)
        if resolution_us < 0:
            raise KernelError(f"resolution_us is {resolution_us!r}; it must be at least 0")
        return self._blocks(start_us, end_us, lambda table: table["last"] - table["first"] >= max(1, resolution_us))

    def reconstruct_range(self, start_us: int, end_us: int) -> Reconstruction:
        """Return the mean phasor of all insertions in [start, end); O(keep + log n).

        Exact where the ends fall between blocks that are still kept, or into a gap.

        Raises
        ------
        KernelError
            When the range is empty or a value is out of its range.
        """
        self._check_range(start_us, end_us)
        return window_mean(self._blocks(start_us, end_us, _never), start_us, end_us)

    def reconstruct_coherence(self, time_us: int, window_us: int) -> Reconstruction:
        """Return the mean phasor of the window (t − window, t].

        Parameters
        ----------
        time_us : int
            t in microseconds; an insertion at t counts.
        window_us : int
            Length of the window, ≥ 1.

        Raises
        ------
        KernelError
            When the window is empty or a value is out of its range.
        """
        return self.reconstruct_range(time_us - window_us + 1, time_us + 1)

    def reconstruct_leaky(self, time_us: int, tau_us: float) -> Reconstruction:
        """Return Σw·u·e^{−(t−t_i)/τ}/Σw·e^{−(t−t_i)/τ} over all t_i ≤ t: what a leaky mean published at t.

        Parameters
        ----------
        time_us : int
            t in microseconds, |t| ≤ 2^60.
        tau_us : float
            τ in microseconds, 1e-3..1e17.

        Raises
        ------
        KernelError
            When a value is out of its range.
        """
        self._check_range(-MAX_TIME_US, time_us + 1)
        if not (math.isfinite(tau_us) and 1e-3 <= tau_us <= 1e17):
            raise KernelError(f"tau_us is {tau_us!r}; it must be within 1e-3..1e17 µs")
        now = min(time_us, self._store.newest_us)

        def want(table: NDArray[np.void]) -> NDArray[np.bool_]:
            age = np.clip((now - table["last"]) / tau_us, 0.0, 1000.0)
            long: NDArray[np.bool_] = table["last"] - table["first"] > tau_us / FINENESS * np.exp(0.5 * age)
            return long

        return leaky_mean(self._blocks(-MAX_TIME_US, time_us + 1, want), time_us, tau_us)

    @staticmethod
    def _check_range(start_us: int, end_us: int) -> None:
        if not -MAX_TIME_US <= start_us < end_us <= MAX_TIME_US + 1:
            raise KernelError(f"range {start_us}..{end_us} µs; it must not be empty, and within 2^60 µs of 0")

    def __add__(self, other: Pyramid) -> Pyramid:
        """Return the pyramid of everything inserted into either; both stay as they are."""
        mine, theirs = self._store, other._store
        if (mine.leaf_us, mine.keep) != (theirs.leaf_us, theirs.keep):
            raise KernelError("pyramids with different leaves or keep cannot be merged")
        merged = Pyramid(mine.leaf_us, keep=mine.keep)
        if not mine.count or not theirs.count:
            merged._store = (mine if mine.count else theirs).copy()
            return merged
        store, added = theirs.copy(), mine.copy()
        store.reach(mine.oldest_us, mine.newest_us)
        added.reach(theirs.oldest_us, theirs.newest_us)
        store.fold(*added.kept())
        store.count += added.count
        merged._store = store
        return merged

    def state(self) -> PyramidState:
        """Return a copy of the whole content; :meth:`from_state` gives the same answers bit for bit."""
        return exported(self._store)

    @classmethod
    def from_state(cls, state: PyramidState) -> Pyramid:
        """Make a pyramid from what :meth:`state` gave.

        Raises
        ------
        KernelError
            When the arrays cannot have come from a pyramid.
        """
        pyramid = cls(state["leaf_us"], keep=state["keep"])
        pyramid._store = imported(state)
        return pyramid


def _never(table: NDArray[np.void]) -> NDArray[np.bool_]:
    """Split no block but those that the range cuts."""
    return np.zeros(len(table), dtype=np.bool_)
