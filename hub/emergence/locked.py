"""Whether the phase differences between the nodes of a band stay where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from becomingone.kairos.bands import CORRELATION_PER_TAU
from becomingone.kairos.mesh.locking import Locking, LockingOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band


class NodeLocking:
    """Locking order of the nodes, each by the one of its channels that has the most weight.

    The channels of one node agree for reasons of their own, and would vouch for each other.

    Parameters
    ----------
    band : Band
        The band.
    window_s : float
        Time over which differences must not wander, s.
    settle_s : float
        What follows a start, or a gap of τ, and is left out, s: there the filter's output is about its own beginning.
    """

    def __init__(self, band: Band, window_s: float, settle_s: float) -> None:
        self._correlation_s = CORRELATION_PER_TAU * band.tau_s
        self._order = LockingOrder(window_s)
        self._speaks: NDArray[np.intp] = np.zeros(0, np.intp)
        self._waited_s = 0.0
        self._gap_s = band.tau_s
        self._settle_s = settle_s
        self._now_s = 0.0
        # By row, when it was last there, and since when without a gap.
        self._times: NDArray[np.float64] = np.zeros((2, 0))
        self.latest: Locking | None = None

    def update(
        self,
        rows: NDArray[np.intp],
        node: NDArray[np.intp],
        phasor: NDArray[np.complex128],
        weight: NDArray[np.float64],
        dt_s: float,
    ) -> None:
        """Take the phases of one slot; one in which fewer than two nodes have any says nothing, and ends nothing.

        Parameters
        ----------
        rows, node : ndarray of int, shape (n,)
            The channels' rows and nodes.
        phasor : ndarray of complex, shape (n,)
            0 where there is none.
        weight : ndarray of float, shape (n,)
            > 0.
        dt_s : float
            Seconds since the slot before.
        """
        there = phasor != 0.0
        self._now_s += dt_s
        there[there] = self._settled(rows[there], dt_s)
        rows, node, phasor, weight = rows[there], node[there], phasor[there], weight[there]
        if node.shape[0] and int(node.max()) >= self._speaks.shape[0]:
            more = np.full(2 * (int(node.max()) + 1) - self._speaks.shape[0], -1, np.intp)
            self._speaks = np.concatenate((self._speaks, more))
        # Whoever spoke for a node goes on doing so: another channel's offset is another.
        order = np.lexsort((rows, -weight, self._speaks[node] != rows, node))
        first = order[np.flatnonzero(np.diff(node[order], prepend=-1))]
        changed = self._speaks[node[first]] != rows[first]
        for number in node[first[changed]].tolist():
            self._order.forget(number)
        self._speaks[node[first]] = rows[first]
        self._waited_s += dt_s
        if len(first) > 1:
            dt_s, self._waited_s = self._waited_s, 0.0
            self.latest = self._order.update(node[first], phasor[first], weight[first], dt_s, self._correlation_s)

    def _settled(self, rows: NDArray[np.intp], dt_s: float) -> NDArray[np.bool_]:
        """Tell which of the rows that are there have been so for long enough."""
        last = int(rows.max(initial=-1))
        if last >= self._times.shape[1]:
            more = np.full((2, 2 * (last + 1) - self._times.shape[1]), -np.inf)
            self._times = np.concatenate((self._times, more), axis=1)
        seen, began = self._times
        begins = rows[self._now_s - dt_s - seen[rows] >= self._gap_s]
        began[begins] = self._now_s
        seen[rows] = self._now_s
        settled: NDArray[np.bool_] = self._now_s - began[rows] >= self._settle_s
        return settled
