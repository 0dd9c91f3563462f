"""A mesh of phases made by formula, a lag a step: thousands of epochs of the hub's witnesses in seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.standing import Standing
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.hub.witnessing import Witnesses, WitnessingSection
from becomingone.kairos.bands import Band
from becomingone.wire.frame import Flags

NOW_US = 1_700_000_000_000_000
STRIDE = Band.of("stride", 0.78, 1.0)

QUICK: dict[str, Any] = {"window": 8, "epoch": 128, "first_epoch": 32}
"""Half of what a hub has by default, in half of the time."""

Fault = Callable[["Harness"], None]
"""Changes a harness's phases or claims before a step."""


class Harness:
    """Nodes of one channel each in every band, and the witnesses over them.

    Phases are a common rhythm that wanders, a fixed offset, and white noise: what is a lag apart is independent.
    """

    def __init__(
        self,
        nodes: int = 10,
        *,
        seed: int = 1,
        sigma: float = 0.1,
        wander: float = 0.2,
        bands: tuple[Band, ...] = (STRIDE,),
        rates: NDArray[np.float64] | None = None,
        channels: int = 1,
        **section: Any,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.bands = bands
        self.table = ChannelTable()
        self.roster = Roster()
        self.events: list[tuple[float, str, dict[str, Any]]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.emerged: frozenset[str] = frozenset()
        self.standing = Standing(self.table, self.roster, tell=self._tell)
        self.witnesses = Witnesses(
            WitnessingSection.model_validate({**QUICK, **section}),
            bands,
            self.table,
            self.roster,
            standing=self.standing,
            publish=lambda layer, record: self.records.append((layer, record)),
            tell=self._tell,
            emerged=lambda: self.emerged,
        )
        self.now_us = NOW_US
        self.step_us = max(round(band.lag_s * 1e6) for band in bands)
        self.steps = 0
        for number in range(nodes):
            node = f"n{number}"
            member = self.roster.enrol(node, 0)
            for b, band in enumerate(bands):
                for channel in range(channels):
                    self.table.row(
                        RowKey(node, band.name, f"c{channel}"), node=member.number, band=b, max_age_s=60, capability=1.0
                    )
        count = len(self.table)
        self.frequency = np.array([bands[b].omega for b in self.table["band"]])
        self.sigma = np.full(count, sigma)
        # As `ChannelKernel` does: its window cannot tell a rhythm that wanders from noise.
        self.claimed = np.full(count, np.hypot(sigma, 1.3 * wander))
        self.offset = self.rng.uniform(-np.pi, np.pi, count)
        self.slip = np.zeros(count) if rates is None else rates
        """rad a step that each is apart from the common rhythm."""
        self.measured = self.slip.copy()
        """What its node has measured of that, over the window of its band."""
        self.frozen = np.zeros(count, np.bool_)
        self.silent = np.zeros(count, np.bool_)
        self.added = np.zeros(count)
        self.p = np.full(count, 1e-9)
        self.common = 0.0
        self.wander = wander
        self.phase = np.zeros(count)

    def _tell(self, kind: str, content: dict[str, Any]) -> str:
        self.events.append((self.steps, kind, content))
        return f"1-{len(self.events)}"

    def step(self, steps: int = 1, fault: Fault | None = None) -> None:
        """Let lags pass; `fault` is called before each."""
        table = self.table
        for _ in range(steps):
            self.steps += 1
            self.now_us += self.step_us
            elapsed_s = (self.now_us - NOW_US) / 1e6
            if fault is not None:
                fault(self)
            self.common += self.rng.normal(0.0, self.wander) if self.wander else 0.0
            self.offset += self.slip
            living = self.common + self.offset + self.added + self.sigma * self.rng.standard_normal(len(table))
            self.phase = np.where(self.frozen, self.phase, living)
            turned = np.exp(1j * (self.phase + np.mod(self.frequency * elapsed_s, 2 * np.pi)))
            table["tick_phasor"][:] = turned
            table["phasor"][:] = turned
            table["time_us"][:] = np.where(self.silent, table["time_us"], self.now_us)
            table["weight"][:] = np.where(self.silent, 0.0, table["trust"])
            self.measured += (self.slip - self.measured) / 6.0
            table["omega"][:] = self.frequency + self.measured * 1e6 / self.step_us
            table["phase_sigma"][:] = self.claimed
            table["p"][:] = self.p
            table["coherence"][:] = 0.9
            table["flags"][:] = int(Flags.VALID)
            self.witnesses.take(self.state())
            self.standing.take(self.state())

    def state(self) -> MeshState:
        table = self.table
        bands = []
        for number, band in enumerate(self.bands):
            rows = np.flatnonzero((table["band"] == number) & (table["weight"] > 0.0))
            bands.append(
                BandState(
                    name=band.name,
                    valid=len(rows) > 0,
                    time_us=self.now_us,
                    channels=len(rows),
                    rows=rows,
                    coherence=0.9,
                    weight=float(len(rows)),
                    mean_field=complex(np.exp(1j * self.common)),
                    omega=band.omega,
                )
            )
        return MeshState(self.now_us, tuple(bands))

    def of(self, kind: str, **fields: Any) -> list[tuple[float, dict[str, Any]]]:
        """Events of a kind with these fields: at which step, and what they say."""
        return [
            (step, content)
            for step, what, content in self.events
            if what == kind and all(content.get(name) == value for name, value in fields.items())
        ]

    @property
    def lowered(self) -> dict[str, set[str]]:
        """Every node that was ever lowered, with the reasons."""
        out: dict[str, set[str]] = {}
        for _, content in self.of("distrusted"):
            out.setdefault(content["node"], set()).add(content["reason"])
        return out
