"""Tables of nodes that say what a test wants, and the states that a hub would have found, tick by tick."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.kairos.bands import Band

from .parts import BANDS, NOW_NS, NOW_US, about, band_about


class Mesh:
    """A roster and a table, written to directly."""

    def __init__(self, bands: Sequence[Band] = BANDS, *, start_us: int = NOW_US) -> None:
        self.bands = tuple(bands)
        self.roster = Roster()
        self.table = ChannelTable()
        self.now_us = start_us
        self.told: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, content: dict[str, Any]) -> str:
        self.told.append((kind, content))
        return f"1-{len(self.told)}"

    def node(self, name: str, *channels: str, **lags: float) -> None:
        """Add a node with these channels in every band; ``lags``: by band, where its T is of another lag."""
        member = self.roster.enrol(name, NOW_NS)
        told = {band.name: band_about(band) for band in self.bands}
        for band, lag_s in lags.items():
            told[band]["lag_s"] = lag_s
        member.about = about(name, bands=told, channels=())
        for channel in channels or ("tone",):
            for number, band in enumerate(self.bands):
                key = RowKey(name, band.name, channel)
                self.table.row(key, node=member.number, band=number, max_age_s=9.0, capability=1.0)
                self.say(key, omega=band.omega)

    def say(self, key: RowKey, **figures: complex) -> None:
        """Set figures of a row; by default it has a phase of 0, C = 1, T = 1, n = 50."""
        given = {"phase": 0.0, "coherence": 1.0, "resonance": 1.0 + 0j, "n_eff": 50.0, "weight": 1.0, **figures}
        row = self.table.keys.index(key)
        self.table["tick_phasor"][row] = cmath.exp(1j * given.pop("phase"))
        for column, value in given.items():
            self.table[column][row] = value

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now_us += round(seconds * 1e6)

    def state(self, **fields: complex | None) -> MeshState:
        """Give the state now, by band its mean field; None, or not named, where it has none."""
        made: list[BandState] = []
        for number, band in enumerate(self.bands):
            field = fields.get(band.name)
            rows = np.flatnonzero((self.table["band"] == number) & (self.table["weight"] > 0))
            made.append(
                BandState(
                    name=band.name,
                    valid=field is not None,
                    time_us=self.now_us,
                    mean_field=field or 0j,
                    omega=band.omega,
                    rows=rows,
                )
            )
        return MeshState(self.now_us, tuple(made))

    def turned(self, omega: float, phase: float = 0.0) -> complex:
        """Give a phasor that had this phase at the start and has turned at this rate since, as of now."""
        return cmath.exp(1j * math.remainder(omega * (self.now_us - NOW_US) * 1e-6 + phase, math.tau))
