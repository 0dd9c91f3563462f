"""The field of a node in a band, by its latest frames: its channels taken together."""

from __future__ import annotations

import cmath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.mesh.table import BandRows, ChannelTable

NodeField = tuple[complex, float, float]
"""T = Σw·C·u/Σw, C = Σw·C/Σw, and Σw."""

_MANY: Final = 16
"""Channels of one node from which on arrays are quicker."""


class NodeRows:
    """The rows of nodes in bands: found once, and again when a band has other rows.

    Parameters
    ----------
    table : ChannelTable
        The channels.
    """

    def __init__(self, table: ChannelTable) -> None:
        self.table = table
        self._found: dict[tuple[int, int], tuple[BandRows, list[int]]] = {}

    def of(self, band: int, node: int) -> list[int]:
        """Give the rows of a node, by its number, in a band, by its number in the plan."""
        members = self.table.of_band(band)
        found = self._found.get((band, node))
        if found is None or found[0] is not members:
            rows: list[int] = members.rows[self.table["node"][members.rows] == node].tolist()
            found = self._found[band, node] = members, rows
        return found[1]


def node_field(table: ChannelTable, rows: list[int], time_us: int) -> NodeField | None:
    """Take the channels of one node together; None where none has a phase and a weight. See `node_fields`."""
    if len(rows) > _MANY:
        found = node_fields(table, np.array(rows, np.intp), time_us)
        return next(iter(found.values()), None)
    weights, coherences, phasors = table.floats("weight"), table.floats("coherence"), table.phasors()
    omegas, times_us = table.floats("omega"), table.floats("time_us")
    whole = coherent = 0.0
    field = 0j
    for row in rows:
        weight = float(weights[row])
        if weight > 0.0:
            pull = weight * float(coherences[row])
            turn = float(omegas[row]) * ((time_us - float(times_us[row])) / 1e6)
            whole += weight
            coherent += pull
            field += pull * complex(phasors[row]) * cmath.rect(1.0, turn)
    return (field / whole, coherent / whole, whole) if whole > 0.0 else None


def node_fields(table: ChannelTable, rows: NDArray[np.intp], time_us: int) -> dict[int, NodeField]:
    """Take the channels of each node together, as their latest frames have them.

    Parameters
    ----------
    table : ChannelTable
        The channels; their weights are as of the last evaluation of their band.
    rows : ndarray of int, shape (channels,)
        Those of a band. Those that had no phase or no weight then do not count.
    time_us : int
        Mesh time to which phases are carried on, by each channel's own rate.

    Returns
    -------
    dict of int to (complex, float, float)
        By the node's number: T = Σw·C·u/Σw, C = Σw·C/Σw, and Σw.
    """
    rows = rows[table.floats("weight")[rows] > 0.0]  # of a row that is newer than the last evaluation there is none yet
    if not len(rows):
        return {}
    numbers, place = np.unique(table["node"][rows], return_inverse=True)
    weight = table.floats("weight")[rows]
    coherent = weight * table.floats("coherence")[rows]
    turn = table.floats("omega")[rows] * ((time_us - table.floats("time_us")[rows]) / 1e6)
    pull = coherent * table.phasors()[rows] * np.exp(1j * turn)
    total = np.bincount(place, weight)
    field = (np.bincount(place, pull.real) + 1j * np.bincount(place, pull.imag)) / total
    coherence = np.bincount(place, coherent) / total
    return {
        int(number): (complex(one), float(mean), float(whole))
        for number, one, mean, whole in zip(numbers, field, coherence, total, strict=True)
    }
