"""The hub's configuration, ``hub.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from becomingone.broker.settings import BrokerSettings
from becomingone.config.sections import CellConfig, Name, Positive, Section
from becomingone.config.security import HubSecurity

_LEAST_INTERVALS = 3.0

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""What `becomingone config check` prints of a file."""

OperatorVerb = Literal["identify", "reload", "loglevel", "log", "restart"]
"""Those of `becomingone.wire.verbs.OPERATORS`."""


class MasterSection(Section):
    """The slow transducer."""

    tau_s: Annotated[
        Positive, Field(le=86_400, description="time over which each channel's offset to the mean field is learnt, s")
    ] = 60.0


class DecisionSection(Section):
    """When a band's coherence counts as collapsed into a stable pattern."""

    dwell_s: Annotated[float, Field(ge=0, le=3600, description="seconds that the evidence must hold")] = 1.0


class IngestSection(Section):
    """Which frames are fresh enough for the live state."""

    max_age_periods: Annotated[
        Positive, Field(description="a phase older than this many periods of its band has no weight")
    ] = 4.0
    max_ahead_s: Annotated[Positive, Field(description="frames further ahead are refused, s")] = 1.0

    def max_age_s(self, period_s: float, interval_s: float) -> float:
        """Give the age, in s, at which a phase has no weight left and a frame is too late for the live state.

        Parameters
        ----------
        period_s : float
            Period of the band.
        interval_s : float
            Seconds between the channel's frames: one that keeps its own pace is never too old.
        """
        return max(self.max_age_periods * period_s, _LEAST_INTERVALS * interval_s)


class SyncSection(Section):
    """The mesh's field, which the nodes' control oscillators follow."""

    enabled: Annotated[bool, Field(description="publish sync/<band>")] = True


class DispatchSection(Section):
    """How outputs are driven."""

    rate_hz: Annotated[float, Field(gt=0, le=50, description="commands a second to each output, at most")] = 20.0
    expiry_s: Annotated[Positive, Field(le=60, description="seconds after which a command is void")] = 1.0
    band: Annotated[Name | None, Field(description="the band that outputs follow; default: the dominant one")] = None


class MemorySection(Section):
    """What nodes keep until it is committed here."""

    max_mb: Annotated[Positive, Field(le=1e6, description="room on the disk, MB; full: the oldest goes")] = 1000.0
    commit_s: Annotated[
        Positive, Field(le=60, description="seconds between commits; nodes hear of them after that")
    ] = 0.5


class OperateSection(Section):
    """What operators may have nodes do."""

    verbs: Annotated[tuple[OperatorVerb, ...], Field(description="what they may ask for")] = (
        "identify",
        "reload",
        "loglevel",
        "log",
        "restart",
    )
    per_minute: Annotated[float, Field(gt=0, le=600, description="requests a minute for each node, at most")] = 30.0


class HubBody(Section):
    """How a hub works, whatever cell and broker it belongs to."""

    tick_hz: Annotated[float, Field(ge=1, le=200, description="evaluations of the mesh a second")] = 20.0
    master: MasterSection = MasterSection()
    decision: DecisionSection = DecisionSection()
    ingest: IngestSection = IngestSection()
    sync: SyncSection = SyncSection()
    dispatch: DispatchSection = DispatchSection()
    operate: OperateSection = OperateSection()
    memory: MemorySection = MemorySection()


class HubConfig(CellConfig, HubBody):
    """Everything that the hub needs to know."""

    broker: BrokerSettings = BrokerSettings()
    security: HubSecurity = HubSecurity()
    desired: Annotated[
        dict[Name, Sha256],
        Field(max_length=4096, description="by node, the digest of the configuration that it should have"),
    ] = {}  # noqa: RUF012 - pydantic copies it
    state_dir: Annotated[Path, Field(description="where boot counter, boot ids and kept frames are stored")] = Path(
        "/var/lib/becomingone"
    )

    @model_validator(mode="after")
    def _check_dispatch(self) -> HubConfig:
        if self.dispatch.band is not None and self.dispatch.band not in self.bands:
            msg = f"dispatch.band: the plan has no band {self.dispatch.band}; it has {', '.join(self.bands)}"
            raise ValueError(msg)
        return self
