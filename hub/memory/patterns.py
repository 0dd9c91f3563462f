"""Patterns: all phases of a band at one moment, for recall; and the entries that hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.bands import Band
from becomingone.kairos.memory.intake import turned_back

MOST_CHANNELS: Final = 256
"""Channels of a band in a pattern; of more, those that came first."""

LEAST_CHANNELS: Final = 3
"""Fewer are like each other by chance in nearly every case."""

NAMED_US: Final = 3_600_000_000
"""The channels' names are written so often, µs: patterns whose names have been forgotten are of no use."""


@dataclass(slots=True)
class _Layout:
    rows: int = 0
    row: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    names: list[str] = field(default_factory=list[str])
    id: str = ""
    named_us: int = -NAMED_US
    due: int = 0
    left_out: int = 0


class PatternMaker:
    """Makes the entries.

    Parameters
    ----------
    bands : sequence of Band
        The plan.
    table : ChannelTable
        The channels as of each band's last evaluation.
    pattern_s : float
        Seconds between a band's patterns, at least; also at least its τ. 0: none.
    """

    def __init__(self, bands: Sequence[Band], table: ChannelTable, pattern_s: float) -> None:
        self._bands = bands
        self._table = table
        self._layouts = [_Layout() for _ in bands]
        self._pace_us = [round(max(pattern_s, band.tau_s) * 1e6) if pattern_s else 0 for band in bands]

    @property
    def left_out(self) -> int:
        """Channels that are too many for their band's pattern."""
        return sum(layout.left_out for layout in self._layouts)

    def take(self, state: MeshState) -> list[tuple[int, dict[str, Any]]]:
        """Give what is due, with its mesh time."""
        made: list[tuple[int, dict[str, Any]]] = []
        for number, band in enumerate(state.bands):
            pace = self._pace_us[number]
            if not pace or not band.valid or band.time_us != state.time_us:
                continue
            layout = self._layouts[number]
            due = band.time_us // pace
            if due == layout.due or len(band.rows) < LEAST_CHANNELS:
                continue
            layout.due = due
            made.append((band.time_us, self._pattern(number, band, layout)))
        return made

    def _pattern(self, number: int, band: BandState, layout: _Layout) -> dict[str, Any]:
        table = self._table
        if layout.rows != len(table):
            rows = np.flatnonzero(table["band"] == number)
            layout.left_out = max(0, len(rows) - MOST_CHANNELS)
            layout.rows, layout.row = len(table), rows[:MOST_CHANNELS]
            numbers: list[int] = layout.row.tolist()
            keys = [table.keys[place] for place in numbers]
            names = [f"{key.node}/{key.channel}" for key in keys]
            if names != layout.names:
                layout.names, layout.named_us = names, band.time_us - NAMED_US
                layout.id = hashlib.blake2b("\n".join([band.name, *names]).encode(), digest_size=4).hexdigest()
        here = np.isin(layout.row, band.rows)
        phasors = table.phasors("tick_phasor")[layout.row]
        times = np.full(len(layout.row), band.time_us, dtype=np.int64)
        still = turned_back(phasors, times, self._bands[number].frequency_hz)
        degrees = np.rint(np.degrees(np.angle(still))).astype(np.int64).tolist()
        percent = np.rint(100.0 * np.clip(table.floats("coherence")[layout.row], 0.0, 1.0)).astype(np.int64).tolist()
        body: dict[str, Any] = {
            "band": band.name,
            "layout": layout.id,
            "phase": [phase if there else None for phase, there in zip(degrees, here.tolist(), strict=True)],
            "weight": [weight if there else 0 for weight, there in zip(percent, here.tolist(), strict=True)],
        }
        if band.time_us - layout.named_us >= NAMED_US or band.time_us < layout.named_us:
            layout.named_us = band.time_us
            body["channels"] = list(layout.names)
        return body
