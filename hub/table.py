"""The live state of all channels: one row a channel and band, one array a figure, so that a tick costs numpy passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.wire.frame import Flags, PhaseFrame

_FIRST_CAPACITY: Final = 64

COLUMNS: Final = {
    "node": np.int32,
    "band": np.int32,
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
    "weight": np.float64,
    "offset": np.float64,
    "tick_phasor": np.complex128,
}
"""The figures of a row and their types. ``time_us`` as a float64 of µs since the epoch is exact to 0.25 µs."""


@dataclass(frozen=True, slots=True)
class RowKey:
    """What a row is about."""

    node: str
    band: str
    channel: str


class ChannelTable:
    """Rows that are added and never moved, so that a row's number stays valid for the life of the hub.

    Its arrays grow by doubling. Ask for a column with ``table["phasor"]``: a view of shape ``(n_rows,)``.
    """

    def __init__(self) -> None:
        self.keys: list[RowKey] = []
        self._rows: dict[RowKey, int] = {}
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros(_FIRST_CAPACITY, dtype) for name, dtype in COLUMNS.items()
        }

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

    def row(self, key: RowKey, *, node: int, band: int, max_age_s: float, capability: float) -> int:
        """Give the row of a channel in a band, made where there is none; its description is brought up to date."""
        number = self._rows.get(key)
        if number is None:
            number = len(self.keys)
            if number == len(self._columns["node"]):
                self._columns = {
                    name: np.concatenate([column, np.zeros_like(column)]) for name, column in self._columns.items()
                }
            self.keys.append(key)
            self._rows[key] = number
        columns = self._columns
        columns["node"][number] = node
        columns["band"][number] = band
        columns["max_age_s"][number] = max_age_s
        columns["capability"][number] = capability
        return number

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
        columns["flags"][row] = int(frame.flags)
        columns["alive"][row] = True

    def set_alive(self, node: int, *, alive: bool) -> None:
        """Count a node's rows in, or out until its next frame."""
        self["alive"][self["node"] == node] = alive

    def retire(self, row: int) -> None:
        """Count a row out until its next frame."""
        self["alive"][row] = False

    def usable(self, now_us: float) -> NDArray[np.bool_]:
        """Tell, per row, whether it has a defined phase of a living node that is not too old.

        Parameters
        ----------
        now_us : float
            Mesh time now.
        """
        valid = (self._columns["flags"][: len(self)] & int(Flags.VALID)) != 0
        alive: NDArray[np.bool_] = self._columns["alive"][: len(self)]
        fresh = (now_us - self.floats("time_us")) / 1e6 < self.floats("max_age_s")
        usable: NDArray[np.bool_] = valid & alive & fresh & (self.phasors() != 0.0)
        return usable
