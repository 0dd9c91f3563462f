"""What the hub shows of itself and of the mesh: figures as text, the snapshot, its own health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from becomingone.broker.link import Link
from becomingone.broker.sys_metrics import SysMetrics
from becomingone.hub.config import HubConfig
from becomingone.hub.dispatch.dispatch import Dispatch
from becomingone.hub.intake.desired import DesiredConfigs
from becomingone.hub.intake.intake import Intake
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.machine import HubMachine
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.parts import Parts
from becomingone.hub.relay.family import Family
from becomingone.hub.showing.account import HubAccount
from becomingone.hub.showing.events import compact
from becomingone.hub.showing.figures import FigurePublisher
from becomingone.hub.showing.pace import Pace
from becomingone.hub.showing.snapshot import snapshot
from becomingone.wire.topics import Topics


class Showing:
    """Publishes it, retained.

    Parameters
    ----------
    config, machine, topics, link : HubConfig, HubMachine, Topics, Link
        The hub, and where it is published.
    roster, table, trust, intake, parts, family, dispatch, desired, pace
        What is shown.

    Attributes
    ----------
    snapshot : mapping
        The last one, as it was published; empty before the first.
    """

    def __init__(
        self,
        config: HubConfig,
        machine: HubMachine,
        topics: Topics,
        link: Link,
        *,
        roster: Roster,
        table: ChannelTable,
        trust: Trust,
        intake: Intake,
        parts: Parts,
        family: Family,
        dispatch: Dispatch,
        desired: DesiredConfigs,
        pace: Pace,
    ) -> None:
        self.snapshot: Mapping[str, Any] = {}
        self._config = config
        self._clock = machine.clock
        self._memory = machine.memory
        self._topics = topics
        self._link = link
        self._roster = roster
        self._table = table
        self._trust = trust
        self._intake = intake
        self._parts = parts
        self._family = family
        self._dispatch = dispatch
        self._desired = desired
        self._account = HubAccount(machine, pace)
        self._figures = FigurePublisher(topics, self._retain)
        self._shown: MeshState | None = None
        self._broker: SysMetrics | None = None

    def listen(self) -> None:
        """Hear the broker's own figures."""
        self._broker = SysMetrics(self._link)

    def forget(self) -> None:
        """Publish everything anew next time: the broker may have lost what it retained."""
        self._figures.forget()
        self._shown = None

    def publish_figures(self, state: MeshState) -> None:
        """Publish the figures that have changed."""
        if not self._link.connected:
            return
        if self._shown is not state:
            self._shown = state
            self._figures.take(state, self._parts.emerged())
        milestones = self._parts.milestones
        if milestones.first_coherence_us is None and any(band.valid and band.channels >= 2 for band in state.bands):
            milestones.first_coherence_us = self._clock.now_us()

    def withdraw(self) -> None:
        """Take the figures back: the hub stops, and with it what they stood for."""
        self._figures.withdraw()

    def publish_snapshot(self, state: MeshState) -> None:
        """Publish the snapshot."""
        ingest, kept, metrics = self._intake.ingest, self._intake.kept, self._link.metrics
        content = snapshot(
            state,
            roster=self._roster,
            table=self._table,
            now_ns=self._clock.monotonic_ns(),
            frames=ingest.frames,
            refused=self._intake.refused,
            milestones=self._parts.milestones,
            broker=self._broker.figures.as_json() if self._broker is not None else {},
            authenticated=self._trust.authenticated,
            config_of=self._desired.seen,
            trust_of=self._parts.standing.of,
            mesh=self._config.mesh,
            kept=kept.figures() if kept is not None else {},
            parts={
                **self._parts.figures(),
                **self._family.figures(),
                "link": {"received": metrics.received, "shed": metrics.shed},
                "dispatch": self._dispatch.figures(),
                "hub": self._account.seconds(),
                **({"memory": self._memory.figures()} if self._memory is not None else {}),
            },
        )
        self.snapshot = content
        self._retain(self._topics.snapshot, compact(content))

    def publish_health(self) -> None:
        """Publish the hub's vital figures."""
        self._retain(self._topics.hub_health, compact(self._account.health(self.snapshot)))

    def _retain(self, topic: str, payload: bytes) -> bool:
        return self._link.publish(topic, payload, retain=True)
