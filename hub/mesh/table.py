"""The live state of all channels: one row a channel and band, one array a figure, so that a tick costs numpy passes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.wire.frame import PhaseFrame

_FIRST_CAPACITY: Final = 64

COLUMNS: Final = {
    "node": np.int32,
    "band": np.int32,
    "place": np.intp,
    "time_us": np.float64,
    "phasor": np.complex128,
    "coherence": np.float64,
    "n_eff": np.float64,
    "p": np.float64,
    "omega": np.float64,
    "omega_sigma": np.float64,
    "phase_sigma": np.float64,
    "clock_sigma_s": np.float64,
    "flags": np.int64,
    "max_age_s": np.float64,
    "capability": np.float64,
    "alive": np.bool_,
    "trust": np.float64,
    "resonance": np.complex128,
    "weight": np.float64,
    "offset": np.float64,
    "tick_phasor": np.complex128,
}
"""The figures of a row and their types.

``time_us`` as a float64 of µs since the epoch is exact to 0.25 µs. ``resonance`` is T_τ, NaN where the frame had none.
``trust`` is 1 unless it was lowered. ``weight``, ``offset`` (NaN until learnt) and ``tick_phasor`` are as of the last
evaluation of the row's band.
"""

UNKNOWN: Final = complex(math.nan, math.nan)

_AT_FIRST: Final = {"trust": 1.0, "resonance": UNKNOWN, "offset": math.nan}
"""What a row holds before anything is known, where that is not 0."""


@dataclass(frozen=True, slots=True)
class RowKey:
    """What a row is about."""

    node: str
    band: str
    channel: str


@dataclass(frozen=True, slots=True)
class BandRows:
    """The rows of one band.

    Parameters
    ----------
    rows : ndarray of int, shape (n,)
        Rising.
    place : ndarray of int, shape (n,)
        Number of each row among those of its band, given when it was made: the same for the life of the hub.
    node : ndarray of int, shape (n,)
        0..nodes − 1: rows of the same node have the same.
    nodes : int
        How many nodes they belong to.
    index : slice or ndarray of int
        What picks them from a column: a slice, which copies nothing, where no other band's rows lie between.
    """

    rows: NDArray[np.intp]
    place: NDArray[np.intp]
    node: NDArray[np.intp]
    nodes: int
    index: slice | NDArray[np.intp]


class ChannelTable:
    """Rows that are added and never moved, so that a row's number stays valid for the life of the hub.

    Its arrays grow by doubling. Ask for a column with ``table["phasor"]``: a view of shape ``(n_rows,)``.
    """

    def __init__(self) -> None:
        self.keys: list[RowKey] = []
        self._rows: dict[RowKey, int] = {}
        self._placed: Counter[int] = Counter()
        self._band_rows: dict[int, BandRows] = {}
        self._columns: dict[str, NDArray[Any]] = {name: _blank(name, _FIRST_CAPACITY) for name in COLUMNS}

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: RowKey) -> bool:
        return key in self._rows

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self._columns[column][: len(self.keys)]

    def floats(self, column: str) -> NDArray[np.float64]:
        """Give a column of float64."""
        view: NDArray[np.float64] = self._columns[column][: len(self.keys)]
        return view

    def phasors(self, column: str = "phasor") -> NDArray[np.complex128]:
        """Give a column of complex128."""
        view: NDArray[np.complex128] = self._columns[column][: len(self.keys)]
        return view

    def pick(self, column: str, index: slice | NDArray[np.intp]) -> NDArray[Any]:
        """Give some rows of a column: a view for a slice, a copy for numbers of rows."""
        rows: NDArray[Any] = self._columns[column][index]
        return rows

    def row(self, key: RowKey, *, node: int, band: int, max_age_s: float, capability: float) -> int:
        """Give the row of a channel in a band, made where there is none; its description is brought up to date."""
        number = self._rows.get(key)
        new = number is None
        if number is None:
            number = len(self.keys)
            if number == len(self._columns["node"]):
                self._columns = {
                    name: np.concatenate([column, _blank(name, len(column))]) for name, column in self._columns.items()
                }
            self.keys.append(key)
            self._rows[key] = number
        columns = self._columns
        before = band if new else int(columns["band"][number])
        if new or before != band or columns["node"][number] != node:
            self._band_rows.pop(before, None)
            self._band_rows.pop(band, None)
        if new or before != band:
            columns["place"][number] = self._placed[band]
            self._placed[band] += 1
        columns["node"][number] = node
        columns["band"][number] = band
        columns["max_age_s"][number] = max_age_s
        columns["capability"][number] = capability
        return number

    def of_band(self, band: int) -> BandRows:
        """Give the rows of a band; found once, and again when one is added."""
        found = self._band_rows.get(band)
        if found is None:
            rows = np.flatnonzero(self["band"] == band)
            number, node = np.unique(self["node"][rows], return_inverse=True)
            together = len(rows) > 0 and int(rows[-1]) - int(rows[0]) == len(rows) - 1
            index = slice(int(rows[0]), int(rows[-1]) + 1) if together else rows
            found = BandRows(rows, self["place"][rows], node.astype(np.intp), len(number), index)
            self._band_rows[band] = found
        return found

    def store(self, row: int, frame: PhaseFrame) -> None:
        """Take a frame's last sample as the channel's live state."""
        columns = self._columns
        columns["time_us"][row] = frame.last_time_us
        columns["phasor"][row] = frame.last_phasor
        columns["coherence"][row] = frame.coherence
        columns["n_eff"][row] = frame.n_eff
        columns["p"][row] = frame.p
        columns["omega"][row] = frame.omega
        columns["omega_sigma"][row] = frame.omega_sigma
        columns["phase_sigma"][row] = frame.phase_sigma
        columns["clock_sigma_s"][row] = frame.clock_sigma_s
        columns["resonance"][row] = UNKNOWN if frame.resonance is None else frame.resonance
        columns["flags"][row] = int(frame.flags)
        columns["alive"][row] = True

    def set_alive(self, node: int, *, alive: bool) -> None:
        """Count a node's rows in, or out until its next frame."""
        self["alive"][self["node"] == node] = alive

    def retire(self, row: int) -> None:
        """Count a row out until its next frame."""
        self["alive"][row] = False


def _blank(column: str, size: int) -> NDArray[Any]:
    """Make a piece of a column of which nothing is known."""
    return np.full(size, _AT_FIRST.get(column, 0), COLUMNS[column])
