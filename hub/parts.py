"""What thinks about the mesh at each tick: standing, Masters, emergence, WE, witnesses, recorder, in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from becomingone.hub.config import HubConfig
from becomingone.hub.emergence.emergence import Emergence
from becomingone.hub.intake.roster import Roster
from becomingone.hub.machine import HubMachine
from becomingone.hub.masters import Masters
from becomingone.hub.memory.protocol import Record
from becomingone.hub.memory.recorder import Recorder
from becomingone.hub.mesh.collapse import Collapses
from becomingone.hub.mesh.standing import Standing
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.showing.snapshot import Milestones
from becomingone.hub.we.we import Groups
from becomingone.hub.witnessing.witnesses import Witnesses
from becomingone.runner import DirectRunner, Runner

Tell = Callable[[str, dict[str, Any]], str]


class Parts:
    """Everything that is shown each tick's state, and nothing that speaks MQTT.

    Parameters
    ----------
    config : HubConfig
        Each part's section.
    machine : HubMachine
        The memory, and where long work runs.
    roster, table, standing : Roster, ChannelTable, Standing
        The mesh.
    realign : callable
        Asks a node to bring its oscillator to a target.
    publish : callable
        Publishes a record of a layer of witnesses.
    tell : callable
        Publishes an event, and gives its id.
    """

    def __init__(
        self,
        config: HubConfig,
        machine: HubMachine,
        *,
        roster: Roster,
        table: ChannelTable,
        standing: Standing,
        realign: Callable[[str, str, float, float, int, float], bool],
        publish: Callable[[str, dict[str, Any]], None],
        tell: Tell,
    ) -> None:
        bands, tick_s = config.band_plan(), 1.0 / config.tick_hz
        self.milestones = Milestones()
        self.standing = standing
        self._make_runner = machine.make_runner
        self._runners: list[Runner] = []
        self._publish = publish
        self._now_us = 0
        self._collapses = Collapses(config, self.milestones, tell, table=table)
        self.masters = Masters(
            config.master,
            config.sync,
            bands,
            table,
            roster,
            p_false=config.kairos.p_false,
            realign=realign,
            tell=tell,
        )
        self.groups = Groups(config.we, bands, table, roster, runner=self._runner("we"), tell=tell, tick_s=tick_s)
        self.emergence = Emergence(
            config.emergence,
            bands,
            table,
            roster,
            p_false=config.kairos.p_false,
            offset_tau_s=config.master.tau_s,
            runner=self._runner("emergence"),
            tell=tell,
            tick_s=tick_s,
        )
        self.witnesses = Witnesses(
            config.witnessing,
            bands,
            table,
            roster,
            standing=standing,
            publish=self._witnessed,
            tell=tell,
            master=self.masters.master,
            emerged=self.emerged,
        )
        self.recorder = (
            Recorder(config.remember, bands, table, memory=machine.memory, runner=self._runner("tiers"))
            if machine.memory is not None
            else None
        )

    def take(self, state: MeshState) -> None:
        """Show a tick's state to all."""
        self._now_us = state.time_us
        self.standing.take(state)
        self._collapses.look(state)
        self.masters.take(state)
        self.emergence.take(state)
        self.groups.take(state)
        self.witnesses.take(state)
        if self.recorder is not None:
            self.recorder.take(state)

    def figures(self) -> Mapping[str, Mapping[str, Any]]:
        """Give their sections of the snapshot."""
        sections = {
            "emergence": self.emergence.figures(),
            "master": self.masters.figures(),
            "we": self.groups.figures(),
            "witness": self.witnesses.figures(),
        }
        if self.recorder is not None:
            sections["remember"] = self.recorder.figures()
        return sections

    def event(self, number: str, kind: str, time_us: int, content: Mapping[str, Any]) -> None:
        """Remember an event."""
        if self.recorder is not None:
            self.recorder.event(number, kind, time_us, content)

    def committed(self, records: Sequence[Record]) -> None:
        """Remember frames that have been committed, on time or late."""
        if self.recorder is not None:
            self.recorder.frames(records)

    def emerged(self) -> frozenset[str]:
        """Give the bands whose nodes are one now."""
        return self.emergence.emerged

    def pairs(self) -> Mapping[str, Any]:
        """Give what is known of each pair of groups, by name."""
        found: Mapping[str, Any] = self.groups.figures()["pairs"]
        return found

    def close(self) -> None:
        """End their work."""
        self.emergence.close()
        self.groups.close()
        if self.recorder is not None:
            self.recorder.close()
        for runner in self._runners:
            runner.close()

    def _witnessed(self, layer: str, record: dict[str, Any]) -> None:
        self._publish(layer, record)
        if self.recorder is not None:
            self.recorder.witnessed(layer, self._now_us, record)

    def _runner(self, name: str) -> Runner:
        runner = DirectRunner() if self._make_runner is None else self._make_runner(name)
        self._runners.append(runner)
        return runner
