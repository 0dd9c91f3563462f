"""The macro layer: whether the p-values of the whole mesh are what p-values should be."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.witnessing.band_watch import BandWatch
from becomingone.hub.witnessing.filters import RECENT
from becomingone.kairos.witnessing.tail_tables import uniformities
from becomingone.kairos.witnessing.tails import uniformity_p

_ALIKE = 4
"""Nodes of a band from which on what each does against the others says something of its own."""


class Uniformity(NamedTuple):
    """As `kairos.witnessing.records.Macro`; ``suspect`` is a row of the table."""

    names: int
    values: int
    pool_p: float
    suspect: int | None
    suspect_p: float


class System:
    """The p-values of all bands' channels.

    Parameters
    ----------
    watches : list of BandWatch
        The bands.
    """

    def __init__(self, watches: list[BandWatch]) -> None:
        self._watches = watches
        self._known: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = [
            (np.zeros(0, np.int64), np.zeros(0)) for _ in watches
        ]

    def look(self) -> Uniformity:
        """Test the latest p-values of every channel that has as many as are kept."""
        pool: list[NDArray[np.float64]] = []
        least, suspect, names = 1.0, None, 0
        for number, watch in enumerate(self._watches):
            # Against the others where there are enough of them: of two, each is the other's mirror image.
            part = watch.others if watch.nodes >= _ALIKE and watch.others.steady.any() else watch.own
            places = np.flatnonzero(part.steady & (part.count >= RECENT))
            if not len(places):
                continue
            p = self._each(number, part.count, part.recent, places)
            names += len(places)
            pool.append(part.recent[places].ravel())
            k = int(np.argmin(p))
            if p[k] < least:
                least, suspect = float(p[k]), int(watch.rows[places[k]])
        if not pool:
            return Uniformity(0, 0, 1.0, None, 1.0)
        values = np.concatenate(pool)
        suspect_p = -math.expm1(names * math.log1p(-least)) if least < 1.0 else 1.0
        return Uniformity(names, len(values), uniformity_p(values), suspect, suspect_p)

    def _each(
        self, number: int, count: NDArray[np.int64], recent: NDArray[np.float64], places: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Give each channel's uniformity; looked at again only where there is a newer p-value."""
        seen, known = self._known[number]
        if len(seen) != len(count):
            seen, known = np.full(len(count), -1), np.ones(len(count))
            self._known[number] = (seen, known)
        new = places[seen[places] != count[places]]
        if len(new):
            known[new] = uniformities(recent[new])
            seen[new] = count[new]
        return known[places]
