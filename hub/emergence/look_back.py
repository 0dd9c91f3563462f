"""The phases of a band's channels, as far back as a look goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

MOST_CHANNELS: Final = 4096
"""Channels of a band that are looked at; 8 bytes each and slot."""

_FIRST_COLUMNS: Final = 16
_LOWEST: Final = 0.5
_HIGHEST: Final = 1.5


def spacing_s(band: Band, least_s: float) -> float:
    """Give the length of a slot, s: a quarter of a period, or, where τ holds several periods, whole ones.

    The mean over a slot then loses the ripple that a rhythm's overtones make, which would otherwise fold into what is
    looked at.

    Parameters
    ----------
    band : Band
        The band.
    least_s : float
        A slot is no shorter, s: two ticks, so that none is empty.
    """
    periods = math.floor(0.4 * band.tau_s * band.frequency_hz)
    return max(periods * band.period_s if periods >= 1 else 0.25 * band.period_s, least_s)


class LookBack:
    """Mean phasor of each channel and slot, turned back by the band's own rotation, in a ring.

    Parameters
    ----------
    band : Band
        The band.
    spacing_s : float
        Length of a slot, s.
    slots : int
        How many are kept.

    Attributes
    ----------
    refused : int
        Channels of the last evaluation for which there was no room.
    restarts : int
        Times that everything was forgotten because mesh time went back.
    """

    def __init__(self, band: Band, spacing_s: float, slots: int) -> None:
        self.spacing_s = spacing_s
        self.refused = 0
        self.restarts = 0
        self._band = band
        self._slots = slots
        self._spacing_us = spacing_s * 1e6
        self._lead_us = round(0.25 * self._spacing_us)
        self._clear()

    def _clear(self) -> None:
        self._ring: NDArray[np.complex64] = np.zeros((self._slots, _FIRST_COLUMNS), np.complex64)
        self._known: NDArray[np.intp] = np.zeros(_FIRST_COLUMNS, np.intp)
        self._used: NDArray[np.intp] = np.full(_FIRST_COLUMNS, -1, np.intp)
        self._sum: NDArray[np.complex128] = np.zeros(_FIRST_COLUMNS, np.complex128)
        self._count: NDArray[np.intp] = np.zeros(_FIRST_COLUMNS, np.intp)
        self._column: NDArray[np.intp] = np.zeros(0, np.intp)
        self._owner: list[int] = []
        self._looks = 0
        self._slot = -1
        self._full_until = -1
        self._start_us: int | None = None

    def take(
        self, time_us: int, rows: NDArray[np.intp], phasor: NDArray[np.complex128], omega: NDArray[np.float64]
    ) -> int:
        """Take the phases of one evaluation.

        Parameters
        ----------
        time_us : int
            Mesh time, µs.
        rows : ndarray of int, shape (n,)
            The table's rows that have a phase.
        phasor : ndarray of complex, shape (n,)
            Of modulus 1.
        omega : ndarray of float, shape (n,)
            The rate that each channel was last measured to have, rad/s.

        Returns
        -------
        int
            Slots that have ended with this.

        Notes
        -----
        A node turns its phases by what the filter does to a tone of the rate it measures, and measures it anew now and
        then: its phases jump there, and those of nodes that started together at the same time. That turn,
        2·atan((ω̂ − ω₀)·τ) of two poles, is taken back.
        """
        band = self._band
        if self._start_us is None:
            self._start_us = self._begin(time_us)
        elapsed_us = time_us - self._start_us
        slot = int(elapsed_us // self._spacing_us)
        if slot < self._slot:
            self.restarts += 1
            self._clear()
            self._start_us = self._begin(time_us)
            elapsed_us, slot = time_us - self._start_us, 0
        ended = 0
        if slot > self._slot:
            ended = slot - self._slot if self._slot >= 0 else 0
            self._finish(slot)
        columns = self._given(rows)
        kept = columns >= 0
        if not kept.all():
            columns, phasor, omega = columns[kept], phasor[kept], omega[kept]
        off = np.clip(omega, _LOWEST * band.omega, _HIGHEST * band.omega) - band.omega
        cycles = ((elapsed_us - self._lead_us) / 1e6 * band.frequency_hz) % 1.0
        turn = -2.0 * np.arctan(off * band.tau_s) - 2.0 * math.pi * cycles
        self._sum[columns] += phasor * np.exp(1j * turn)
        self._count[columns] += 1
        self._looks += 1
        return ended

    def _begin(self, time_us: int) -> int:
        """Give when the first slot begins: a quarter of one earlier, so that evaluations do not fall on its borders."""
        return time_us - self._lead_us

    def _finish(self, slot: int) -> None:
        """Write the slot that has ended, and empty ones up to the present."""
        if self._slot >= 0:
            size = np.abs(self._sum)
            there = (2 * self._count >= self._looks) & (size > 0.0)
            line = np.where(there, self._sum / np.maximum(size, 1e-300), 0.0).astype(np.complex64)
            self._write(self._slot, line)
            nothing = np.zeros_like(line)
            for empty in range(max(self._slot + 1, slot - self._slots), slot):
                self._write(empty, nothing)
        self._sum[:] = 0.0
        self._count[:] = 0
        self._looks = 0
        self._slot = slot

    def _write(self, slot: int, line: NDArray[np.complex64]) -> None:
        place = slot % self._slots
        self._known -= self._ring[place] != 0.0
        self._ring[place] = line
        self._known += line != 0.0

    def _columns(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give the rows' columns, −1 where there is no room."""
        if not rows.shape[0]:
            return rows
        last = int(rows[-1])
        if last >= self._column.shape[0]:
            more = np.full(2 * (last + 1) - self._column.shape[0], -1, np.intp)
            self._column = np.concatenate((self._column, more))
        columns: NDArray[np.intp] = self._column[rows]
        return columns

    def _given(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give the rows' columns, new ones where there is room, and take note that they are in use."""
        columns = self._columns(rows)
        if self._slot >= self._full_until and (columns < 0).any():
            for row in rows[columns < 0].tolist():
                column = self._room(row)
                if column < 0:
                    self._full_until = self._slot + max(1, self._slots // 8)
                    break
                self._column[row] = column
                self._used[column] = self._slot
            columns = self._column[rows]
        self.refused = int((columns < 0).sum())
        self._used[columns[columns >= 0]] = self._slot
        return columns

    def _room(self, row: int) -> int:
        """Find a column for a new row: a fresh one, or that of a row that has had no phase for the whole window."""
        if len(self._owner) < MOST_CHANNELS:
            self._owner.append(row)
            if len(self._owner) > self._known.shape[0]:
                self._grow()
            return len(self._owner) - 1
        old = np.flatnonzero(self._used[: len(self._owner)] < self._slot - self._slots)
        if not old.shape[0]:
            return -1
        column = int(old[0])
        self._column[self._owner[column]] = -1
        self._owner[column] = row
        return column

    def _grow(self) -> None:
        self._ring = np.concatenate((self._ring, np.zeros_like(self._ring)), axis=1)
        self._known = np.concatenate((self._known, np.zeros_like(self._known)))
        self._used = np.concatenate((self._used, np.full_like(self._used, -1)))
        self._sum = np.concatenate((self._sum, np.zeros_like(self._sum)))
        self._count = np.concatenate((self._count, np.zeros_like(self._count)))

    def known(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give how many of the kept slots each row has a phase in."""
        columns = self._columns(rows)
        known: NDArray[np.intp] = np.zeros(len(rows), np.intp)
        known[columns >= 0] = self._known[columns[columns >= 0]]
        return known

    def last(self, rows: NDArray[np.intp]) -> NDArray[np.complex64]:
        """Give the rows' phasors of the slot that ended last, 0 where there is none."""
        columns = self._columns(rows)
        line: NDArray[np.complex64] = np.zeros(len(rows), np.complex64)
        if self._slot >= 1:
            kept = columns >= 0
            line[kept] = self._ring[(self._slot - 1) % self._slots][columns[kept]]
        return line

    def window(self, rows: NDArray[np.intp]) -> NDArray[np.complex64]:
        """Copy the kept slots of these rows, the oldest first, shape (slots, n); from the first that has a phase."""
        order = np.arange(max(0, self._slot - self._slots), max(0, self._slot)) % self._slots
        columns = self._columns(rows)
        kept: NDArray[np.complex64] = self._ring[np.ix_(order, np.maximum(columns, 0))]
        kept[:, columns < 0] = 0.0
        there = np.flatnonzero((kept != 0.0).any(axis=1))
        return kept[int(there[0]) :] if there.shape[0] else kept[:0]
