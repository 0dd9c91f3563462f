"""The hub: messages in, ticks, figures, events and commands out, in the turns of one scheduler over one link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from becomingone.broker.link import Link, Will
from becomingone.broker.presence import Presence
from becomingone.hub.beat import Beat
from becomingone.hub.clock_server import ClockServer
from becomingone.hub.config import HubConfig
from becomingone.hub.dispatch.commands import NodeCommands
from becomingone.hub.dispatch.dispatch import Dispatch
from becomingone.hub.dispatch.operations import Operations
from becomingone.hub.home_assistant.discovery import Discovery
from becomingone.hub.intake.desired import DesiredConfigs
from becomingone.hub.intake.intake import Intake
from becomingone.hub.intake.kept import KeptFrames
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.machine import HubMachine
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.rest import Rest
from becomingone.hub.mesh.standing import Standing
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.parts import Parts
from becomingone.hub.relay.family import Family
from becomingone.hub.rivals import Rivals
from becomingone.hub.showing.events import Events, compact
from becomingone.hub.showing.pace import Pace
from becomingone.hub.showing.showing import Showing
from becomingone.hub.showing.snapshot import Milestones
from becomingone.hub.sync import SyncPublisher
from becomingone.scheduling import NANOSECONDS, Repeating
from becomingone.wire.announce import State
from becomingone.wire.topics import Topics

FIGURES_HZ: Final = 10.0
"""The figures' topics change at most so often a second."""

LOOK_S: Final = 1.0
"""Seconds between looks at who is unsure, what is desired and what Home Assistant has to be told."""

STALLED_TICKS: Final = 20.0
"""Ticks that may be missing before the hub says of itself that it is not well; at least a second of them."""


class Hub:
    """A cell's hub.

    Parameters
    ----------
    config : HubConfig
        The cell, its band plan, the hub's pace and rules.
    machine : HubMachine
        What it stands on.
    """

    def __init__(self, config: HubConfig, machine: HubMachine) -> None:
        self.config = config
        clock, scheduler, boot = machine.clock, machine.scheduler, machine.boot
        self._machine = machine
        self._clock = clock
        self._scheduler = scheduler
        topics = self._topics = Topics(config.root, config.cell)
        link: Link = machine.links(topics.client_id("hub"), Will(topics.hub_state, State.LOST.encode()))
        self._link = link
        self._presence = Presence(link, topics.hub_state, scheduler)
        self._events = Events(topics, link, clock, boot)
        event = self._events.tell
        roster, table = self._roster, self._table = Roster(), ChannelTable()
        trust = self._trust = Trust.of(config, now_us=clock.now_us(), store=machine.epochs)
        commands = NodeCommands(topics, boot, seal=trust.seal, publish=self._command)
        standing = Standing(table, roster, tell=event)
        self._intake = Intake(
            config,
            topics,
            roster=roster,
            table=table,
            trust=trust,
            standing=standing,
            link=link,
            clock=clock,
            commands=commands,
            tell=event,
        )
        refuse = self._intake.refuse
        self._clock_server = ClockServer(topics, boot, link=link, clock=clock, trust=trust, refuse=refuse)
        self.operations = Operations(
            topics,
            link=link,
            commands=commands,
            roster=roster,
            trust=trust,
            rules=config.operate,
            clock=clock,
            scheduler=scheduler,
            refuse=refuse,
            event=lambda content: event("operation", content),
            forget=self._intake.forget.forget,
        )
        self.parts = Parts(
            config,
            machine,
            roster=roster,
            table=table,
            standing=standing,
            realign=self._realign,
            publish=self._witnessed,
            tell=event,
        )
        self._events.listeners.append(self.parts.event)
        if machine.memory is not None:
            machine.memory.watch(event)
            self._intake.keep(
                KeptFrames(
                    topics,
                    boot,
                    log=machine.memory,
                    link=link,
                    trust=trust,
                    refuse=refuse,
                    committed=self.parts.committed,
                )
            )
        self.family = Family(
            config,
            topics,
            boot,
            roster=roster,
            table=table,
            trust=trust,
            clock=clock,
            link=link,
            parent_links=machine.parent_links,
            refuse=refuse,
            tell=event,
        )
        evaluator = MeshEvaluator(config, table)
        self._dispatch = Dispatch(
            config.dispatch,
            topics,
            boot,
            seal=trust.seal,
            send=self._command,
            roster=roster,
            clock=clock,
            scheduler=scheduler,
            tell=event,
            refuse=refuse,
            table=table,
            emerged=self.parts.emerged,
            pairs=self.parts.pairs,
            glance=evaluator.glance,
            send_once=link.publish,
        )
        self._intake.ingest.stored = self._dispatch.moved
        self._beat = Beat(
            topics,
            link,
            clock,
            roster=roster,
            evaluator=evaluator,
            rest=Rest(
                evaluator,
                self._dispatch,
                keep_alive_s=config.dispatch.keep_alive_s,
                always=bool(config.children) or self.family.relay is not None,
            ),
            sync=SyncPublisher.of(config, topics, boot, link.publish),
            takers=(self.parts.take, self.family.take, self._dispatch.take),
        )
        self._events.listeners.append(lambda _id, kind, _time_us, content: self._dispatch.heard(kind, dict(content)))
        self._desired = DesiredConfigs(
            config, boot, topics=topics, trust=trust, link=link, event=partial(event, "drifted")
        )
        self._discovery = Discovery(config.home_assistant, topics, sorted(config.bands), roster, link)
        self._pace = Pace(scheduler, 1.0 / config.tick_hz)
        self.showing = Showing(
            config,
            machine,
            topics,
            link,
            roster=roster,
            table=table,
            trust=trust,
            intake=self._intake,
            parts=self.parts,
            family=self.family,
            dispatch=self._dispatch,
            desired=self._desired,
            pace=self._pace,
        )
        self._rivals = (
            Rivals(
                machine.about,
                topics=topics,
                link=link,
                scheduler=scheduler,
                clock=clock,
                trust=trust,
                tell=event,
                give_way=machine.give_way,
                refuse=refuse,
            )
            if machine.about is not None
            else None
        )
        self._listening = False
        self._unseen = False
        self._turns: list[Repeating] = []

    @property
    def snapshot(self) -> Mapping[str, Any]:
        """The last snapshot, as it was published; empty before the first."""
        return self.showing.snapshot

    @property
    def state(self) -> State:
        """How the hub is."""
        return self._presence.state

    @property
    def refused(self) -> Counter[str]:
        """Messages that could be counted against no node, by reason."""
        return self._intake.refused

    @property
    def milestones(self) -> Milestones:
        """When it first published what people wait for."""
        return self.parts.milestones

    def start(self) -> None:
        """Connect and begin to tick."""
        link = self._link
        link.on_up(self._connected)
        self._presence.state = State.READY
        self._presence.start()
        if self._rivals is not None:
            self._rivals.start()
        self._intake.start()
        self._clock_server.start()
        self._presence.on_confirmed(self._listen_to_the_described)
        self.operations.start()
        self._discovery.start()
        self._dispatch.start(link)
        self.family.start()
        link.start()
        for seconds, turn in (
            (1.0 / self.config.tick_hz, self._tick),
            (1.0 / min(FIGURES_HZ, self.config.tick_hz), lambda: self.showing.publish_figures(self._beat.latest)),
            (LOOK_S, self._look),
            (self.config.snapshot_s, lambda: self.showing.publish_snapshot(self._beat.latest)),
            (self.config.health_s, self.showing.publish_health),
        ):
            self._turns.append(Repeating(self._scheduler, int(seconds * NANOSECONDS), turn))
        kept = self._intake.kept
        if kept is not None:
            self._turns.append(Repeating(self._scheduler, int(self.config.memory.commit_s * NANOSECONDS), kept.commit))

    def stop(self, done: Callable[[], None]) -> None:
        """Publish the last snapshot, take the figures back, say goodbye, call back."""
        for turn in self._turns:
            turn.cancel()
        self.operations.stop()
        self._dispatch.close()
        self._look()
        self.showing.publish_snapshot(self._beat.latest)
        self.showing.withdraw()
        self.close()
        self._presence.leave(done)

    def close(self) -> None:
        """Write down what is not written yet, and close the memory; all that there is to end before `start`."""
        self.parts.close()
        self.family.close()
        if self._intake.kept is not None:
            self._intake.kept.close()

    def faults(self) -> dict[str, str]:
        """Tell, by part, what is wrong with this hub; empty while it is well."""
        faults: dict[str, str] = {}
        if not self._link.connected:
            faults["link"] = "no connection to the broker"
        silence_s = self._pace.silence_s()
        if silence_s > max(1.0, STALLED_TICKS / self.config.tick_hz):
            faults["tick"] = f"the last tick was {silence_s:.1f} s ago"
        if self._machine.memory is not None:
            fault = self._machine.memory.figures().get("fault")
            if fault:
                faults["memory"] = str(fault)
        return faults

    def healths(self) -> dict[str, Mapping[str, Any]]:
        """Give the nodes' vital figures."""
        return {member.id: member.health.model_dump() for member in self._roster.members if member.health is not None}

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        self.showing.forget()
        self._desired.forget()
        self._discovery.forget()
        self._roster.listen(self._clock.monotonic_ns())

    def _listen_to_the_described(self) -> None:
        self._unseen = True  # whoever waits for the hub need not wait for its next snapshot, too
        if not self._listening:
            self._listening = True
            self._intake.listen()
            self._dispatch.listen(self._link)
            self.showing.listen()

    # -- what goes out ---------------------------------------------------------------------------------------------

    def _command(self, topic: str, payload: bytes) -> bool:
        return self._link.publish(topic, payload, qos=1)

    def _realign(self, node: str, band: str, phase: float, omega: float, time_us: int, valid_s: float) -> bool:
        return self.operations.realign(node, band, phase=phase, omega=omega, time_us=time_us, valid_s=valid_s)

    def _witnessed(self, layer: str, record: dict[str, Any]) -> None:
        self._link.publish(self._topics.witness(layer), compact(record), retain=True)

    def _tick(self) -> None:
        self._pace.begin()
        self._beat.tick()
        if self._unseen:
            self._unseen = False
            self.showing.publish_snapshot(self._beat.latest)
        self._pace.end()

    def _look(self) -> None:
        self._intake.look()
        self._desired.look(self._roster.members)
        self._discovery.look()
        self._trust.keep()
