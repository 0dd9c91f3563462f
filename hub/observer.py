"""A hub that only observes and audits: it evaluates the same frames, remembers, and commands nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from becomingone.broker.link import Link, Will
from becomingone.broker.presence import Presence
from becomingone.config.security import key_bytes
from becomingone.hub.audit import Audit
from becomingone.hub.config import HubConfig
from becomingone.hub.dispatch.commands import NodeCommands
from becomingone.hub.intake.intake import Intake
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.machine import HubMachine
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.standing import Standing
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.parts import Parts
from becomingone.hub.showing.events import Events, compact
from becomingone.scheduling import NANOSECONDS, Repeating
from becomingone.wire.announce import State
from becomingone.wire.signature import Signer, Verifier
from becomingone.wire.topics import Topics

REPORT_S: Final = 1.0
"""Seconds between reports."""


class Observer:
    """A cell's witness.

    What it publishes is below ``audit/<name>``: its state, its report, its own events. It acknowledges nothing, so what
    nodes keep is none of its business.

    Parameters
    ----------
    config : HubConfig
        The cell's, as its hub has it; in an authenticated cell with the same secret, and the hub's key to check it by.
    machine : HubMachine
        What it stands on; its memory is its own.

    Attributes
    ----------
    snapshot : mapping
        The last report.
    """

    def __init__(self, config: HubConfig, machine: HubMachine) -> None:
        self.config = config
        self.snapshot: Mapping[str, Any] = {}
        clock = machine.clock
        self._clock = clock
        self._scheduler = machine.scheduler
        name = config.audit.name
        topics = Topics(config.root, config.cell)
        self._topics = topics
        state_topic = topics.audit(name, "state")
        link: Link = machine.links(topics.client_id("witness", name), Will(state_topic, State.LOST.encode()))
        self._link = link
        self._presence = Presence(link, state_topic, machine.scheduler)
        self._roster, self._table = Roster(), ChannelTable()
        trust = Trust.of(config, now_us=clock.now_us(), store=machine.epochs)
        self._trust = trust
        events = Events(topics, link, clock, machine.boot, below=topics.audit(name, "event"))
        standing = Standing(self._table, self._roster, tell=events.tell)
        self.intake = Intake(
            config,
            topics,
            roster=self._roster,
            table=self._table,
            trust=trust,
            standing=standing,
            link=link,
            clock=clock,
            commands=NodeCommands(topics, machine.boot, seal=trust.seal, publish=lambda _topic, _payload: False),
            tell=events.tell,
        )
        self.parts = Parts(
            config,
            machine,
            roster=self._roster,
            table=self._table,
            standing=standing,
            realign=_never,
            publish=lambda _layer, _record: None,
            tell=events.tell,
        )
        events.listeners.append(self.parts.event)
        self._memory = machine.memory
        if machine.memory is not None:
            machine.memory.watch(events.tell)
        self._evaluator = MeshEvaluator(config, self._table)
        self.audit = Audit(config.audit, topics, link=link, verifier=_verifier(config), tell=events.tell)
        self._latest = MeshState(clock.now_us(), ())
        self._listening = False
        self._turns: list[Repeating] = []

    @property
    def state(self) -> State:
        """How it is."""
        return self._presence.state

    def start(self) -> None:
        """Connect and begin to look."""
        self._link.on_up(lambda: self._roster.listen(self._clock.monotonic_ns()))
        self._presence.state = State.READY
        self._presence.start()
        self.intake.start()
        self.audit.start()
        self._presence.on_confirmed(self._listen)
        self._link.start()
        for seconds, turn in ((1.0 / self.config.tick_hz, self._tick), (REPORT_S, self._report)):
            self._turns.append(Repeating(self._scheduler, int(seconds * NANOSECONDS), turn))

    def stop(self, done: Callable[[], None]) -> None:
        """Say goodbye, call back."""
        for turn in self._turns:
            turn.cancel()
        self.close()
        self._presence.leave(done)

    def close(self) -> None:
        """Write down what is not written yet."""
        self.parts.close()
        if self._memory is not None:
            self._memory.close()

    def faults(self) -> dict[str, str]:
        """Tell what is wrong with this witness itself; what it finds wrong with the hub is in its report."""
        faults = {} if self._link.connected else {"link": "no connection to the broker"}
        fault = self._memory.figures().get("fault") if self._memory is not None else None
        return {**faults, "memory": str(fault)} if fault else faults

    def healths(self) -> dict[str, Mapping[str, Any]]:
        """Give the nodes' vital figures."""
        return {member.id: member.health.model_dump() for member in self._roster.members if member.health is not None}

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self.intake.listen()

    def _tick(self) -> None:
        self._latest = self._evaluator.evaluate(self._clock.now_us())
        self.audit.take(self._latest)
        self.parts.take(self._latest)

    def _report(self) -> None:
        self.intake.look()
        content = {
            "time_us": self._latest.time_us,
            **self.audit.figures(),
            "frames": self.intake.ingest.frames,
            "nodes_ready": sum(member.state is State.READY for member in self._roster.members),
            "emerged": sorted(self.parts.emerged()),
        }
        self.snapshot = content
        self._link.publish(self._topics.audit(self.config.audit.name, "report"), compact(content), retain=True)
        self._trust.keep()


def _never(_node: str, _band: str, _phase: float, _omega: float, _time_us: int, _valid_s: float) -> bool:
    return False


def _verifier(config: HubConfig) -> Verifier | None:
    key = config.security.signing_key
    return None if key is None else Verifier(Signer(key_bytes(key.get_secret_value())).public_key)
