"""The hub's configuration, ``hub.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from becomingone.broker.settings import BrokerSettings
from becomingone.config.sections import CellConfig, Name, Positive, Section
from becomingone.config.security import HubSecurity
from becomingone.hub.audit import AuditSection
from becomingone.hub.emergence.section import EmergenceSection
from becomingone.hub.home_assistant.section import HomeAssistantSection
from becomingone.hub.intake.quarantine import QuarantineSection
from becomingone.hub.masters.sections import MasterSection, SyncLayerSection
from becomingone.hub.memory.recorder import RememberSection
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.mesh.section import MeshSection
from becomingone.hub.relay.section import ChildName, ChildSection, RelaySection
from becomingone.hub.rules.section import DispatchSection
from becomingone.hub.we.we import WeSection, check_bands
from becomingone.hub.web.section import HttpSection
from becomingone.hub.witnessing.section import WitnessingSection

_LEAST_INTERVALS = 3.0

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""What `becomingone config check` prints of a file."""

OperatorVerb = Literal["identify", "reload", "loglevel", "log", "restart", "forget"]
"""Those of `becomingone.wire.verbs.OPERATORS`, and to forget a node that will not come back."""


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


class OperateSection(Section):
    """What operators may have nodes do."""

    verbs: Annotated[tuple[OperatorVerb, ...], Field(description="what they may ask for")] = (
        "identify",
        "reload",
        "loglevel",
        "log",
        "restart",
        "forget",
    )
    per_minute: Annotated[float, Field(gt=0, le=600, description="requests a minute for each node, at most")] = 30.0


class HubBody(Section):
    """How a hub works, whatever cell and broker it belongs to."""

    mode: Annotated[
        Literal["full", "witness"],
        Field(description="full: the cell's hub; witness: only observes, and audits what the cell's hub says"),
    ] = "full"
    tick_hz: Annotated[float, Field(ge=1, le=200, description="evaluations of the mesh a second")] = 20.0
    mesh: MeshSection = MeshSection()
    master: MasterSection = MasterSection()
    decision: DecisionSection = DecisionSection()
    ingest: IngestSection = IngestSection()
    sync: SyncLayerSection = SyncLayerSection()
    dispatch: DispatchSection = DispatchSection()
    operate: OperateSection = OperateSection()
    emergence: EmergenceSection = EmergenceSection()
    we: WeSection = WeSection()
    relay: RelaySection = RelaySection()
    children: Annotated[
        dict[ChildName, ChildSection],
        Field(max_length=4096, description="cells within this one whose sums are taken, by name"),
    ] = {}  # noqa: RUF012 - pydantic copies it
    witnessing: WitnessingSection = WitnessingSection()
    memory: MemorySection = MemorySection()
    remember: RememberSection = RememberSection()
    audit: AuditSection = AuditSection()
    quarantine: QuarantineSection = QuarantineSection()
    home_assistant: HomeAssistantSection = HomeAssistantSection()
    http: HttpSection = HttpSection()
    snapshot_s: Annotated[float, Field(ge=1, le=60, description="seconds between snapshots")] = 1.0
    health_s: Annotated[float, Field(ge=1, le=3600, description="seconds between the hub's health messages")] = 30.0


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
        self.dispatch.check_bands(self.bands)
        for name, pair in self.we.pairs.items():
            check_bands(name, pair, self.bands)
        relay = self.relay
        if relay.broker is None and relay.parent == self.cell and relay.root in (None, self.root):
            msg = f"relay.parent: {self.cell} is this cell; a cell is no child of its own"
            raise ValueError(msg)
        return self
