"""A table with channels of any number of nodes and bands, written as frames would have written it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becomingone.config.sections import BandSection
from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.kairos.bands import Band
from becomingone.wire.frame import Flags

from .parts import NOW_US, STRIDE

Values = NDArray[Any] | Sequence[Any] | complex


def config_of(bands: Iterable[Band], **mesh: Any) -> HubConfig:
    return HubConfig.model_validate(
        {
            "bands": {
                band.name: BandSection(
                    frequency_hz=band.frequency_hz,
                    tau_s=band.tau_s,
                    lag_s=band.lag_s,
                    coherence_tau_s=band.coherence_tau_s,
                )
                for band in bands
            },
            "mesh": mesh,
        }
    )


class MeshWorld:
    """Channels (node, band) in a table, and the evaluator over them; every figure can be set by column.

    Each channel has, unless told otherwise, a phase of 0 of full coherence at the band's frequency, without spread.
    """

    def __init__(
        self,
        channels: Sequence[tuple[str, str]],
        bands: Sequence[Band] = (STRIDE,),
        *,
        config: HubConfig | None = None,
        **mesh: Any,
    ) -> None:
        self.bands = {band.name: number for number, band in enumerate(bands)}
        self.table = ChannelTable()
        self.config = config if config is not None else config_of(bands, **mesh)
        self.evaluator = MeshEvaluator(self.config, self.table)
        self._numbers: dict[str, int] = {}
        for node, band in channels:
            self.add(node, band, bands[self.bands[band]])

    def add(self, node: str, band: str, plan: Band = STRIDE, *, time_us: int = NOW_US) -> int:
        """Add a channel to a node, in a band."""
        number = self._numbers.setdefault(node, len(self._numbers))
        key = RowKey(node, band, f"c{len(self.table)}")
        row = self.table.row(key, node=number, band=self.bands[band], max_age_s=4.0 * plan.period_s, capability=1.0)
        for column, value in {
            "time_us": time_us,
            "phasor": 1.0,
            "coherence": 1.0,
            "n_eff": 20.0,
            "p": 1e-4,
            "omega": plan.omega,
            "flags": int(Flags.VALID),
            "alive": True,
        }.items():
            self.table[column][row] = value
        return row

    def set(self, **columns: Values) -> None:
        """Give every row a value in some columns."""
        for name, values in columns.items():
            self.table[name][:] = values

    def say(self, phases: Values, time_us: int) -> None:
        """Give every row a new phase, of now."""
        self.set(phasor=np.exp(1j * np.asarray(phases, dtype=np.float64)), time_us=time_us)

    def at(self, now_us: int = NOW_US) -> MeshState:
        return self.evaluator.evaluate(now_us)

    def band(self, now_us: int = NOW_US, name: str = "stride") -> BandState:
        return self.at(now_us).bands[self.bands[name]]

    @property
    def weights(self) -> list[float]:
        return [float(weight) for weight in self.table["weight"]]

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of the weight that each node has."""
        weight = self.table.floats("weight")
        own: dict[str, float] = {}
        for key, value in zip(self.table.keys, weight.tolist(), strict=True):
            own[key.node] = own.get(key.node, 0.0) + value
        return {node: value / float(weight.sum()) for node, value in own.items()}


def content(table: ChannelTable) -> tuple[bytes, ...]:
    """Everything that an evaluation could change."""
    return tuple(table[name].tobytes() for name in ("weight", "offset", "tick_phasor", "trust", "phasor", "time_us"))
