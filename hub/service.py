"""The hub: messages in, ticks, figures, events and commands out, in the turns of one scheduler over one link."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from becomingone.broker.link import Link, LinkFactory, Message, Will
from becomingone.broker.presence import Presence
from becomingone.errors import FrameError, TopicError
from becomingone.hub.config import HubConfig
from becomingone.hub.dispatch import Dispatch
from becomingone.hub.ingest import Ingest
from becomingone.hub.mesh import MeshEvaluator
from becomingone.hub.publish import FigurePublisher
from becomingone.hub.roster import Member, Rebirths, Roster
from becomingone.hub.snapshot import Milestones, snapshot
from becomingone.hub.state import BandState, MeshState
from becomingone.hub.table import ChannelTable
from becomingone.scheduling import NANOSECONDS, MeshClock, Repeating, Scheduler
from becomingone.wire.announce import About, Health, State, parse_announcement, parse_state
from becomingone.wire.command import NodeCommand, encode_node_command
from becomingone.wire.frame import PROTOCOL
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)

FIGURES_HZ: Final = 10.0
"""The figures' topics change at most so often a second."""

SNAPSHOT_S: Final = 1.0
"""Seconds between snapshots."""

REBIRTH_NS: Final = 5 * NANOSECONDS
"""A node is asked to describe itself at most this often."""

REBIRTH_EXPIRY_US: Final = 10_000_000

MAX_STRANGERS: Final = 256
"""Nodes that have announced nothing yet and are asked to, at most so many in `REBIRTH_NS`."""


class Hub:
    """A cell's hub.

    Parameters
    ----------
    config : HubConfig
        The cell, its band plan, the hub's pace and rules.
    boot : int
        The hub's boot id.
    links : callable
        Makes the link to the broker.
    clock : MeshClock
        The hub's clock, which is the mesh's.
    scheduler : Scheduler
        Gives the turns.
    """

    def __init__(
        self, config: HubConfig, *, boot: int, links: LinkFactory, clock: MeshClock, scheduler: Scheduler
    ) -> None:
        self.config = config
        self.refused: Counter[str] = Counter()
        self.milestones = Milestones()
        self._boot = boot
        self._clock = clock
        self._scheduler = scheduler
        self._topics = Topics(config.root, config.cell)
        self._link: Link = links(self._topics.client_id("hub"), Will(self._topics.hub_state, State.LOST.encode()))
        self._presence = Presence(self._link, self._topics.hub_state, scheduler)
        self._bands = config.band_plan()
        self._roster = Roster()
        self._table = ChannelTable()
        self._strangers = Rebirths(REBIRTH_NS, most=MAX_STRANGERS)
        self._ingest = Ingest(
            self._topics,
            self._bands,
            self._roster,
            self._table,
            rules=config.ingest,
            refused=self.refused,
        )
        self._evaluator = MeshEvaluator(config, self._table)
        self._figures = FigurePublisher(self._topics, self._retain)
        self._dispatch = Dispatch(self._topics, boot, expiry_us=int(config.dispatch.expiry_s * 1e6))
        self._latest = MeshState(clock.now_us(), ())
        self._command = 0
        self._collapsed: set[str] = set()
        self._listening = False
        self._turns: list[Repeating] = []

    @property
    def state(self) -> State:
        """How the hub is."""
        return self._presence.state

    def start(self) -> None:
        """Connect and begin to tick."""
        link, base = self._link, self._topics.base
        link.on_up(self._connected)
        self._presence.state = State.READY
        self._presence.start()
        link.subscribe(f"{base}/node/+/state", self._take_state, qos=1)
        link.subscribe(f"{base}/node/+/about", self._take_about, qos=1)
        self._presence.on_confirmed(self._listen_to_the_described)
        link.start()
        for hertz, turn in (
            (self.config.tick_hz, self._tick),
            (min(FIGURES_HZ, self.config.tick_hz), self._publish_figures),
            (self.config.dispatch.rate_hz, self._drive_outputs),
            (1.0 / SNAPSHOT_S, self._publish_snapshot),
        ):
            self._turns.append(Repeating(self._scheduler, int(NANOSECONDS / hertz), turn))

    def stop(self, done: Callable[[], None]) -> None:
        """Publish the last snapshot, take the figures back, say goodbye, call back."""
        for turn in self._turns:
            turn.cancel()
        self._publish_snapshot()
        self._figures.withdraw()
        self._presence.leave(done)

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _member(self, message: Message, *, its_own: bool = True) -> Member:
        """Give the node that a message below ``node/`` is about, made a member where it is new.

        What the broker had stored, or somebody else says of a node (``its_own`` False), is no sign of life.
        """
        node = self._topics.parse_node(message.topic).node
        member = None if its_own and not message.retained else self._roster.get(node)
        return member or self._roster.enrol(node, self._clock.monotonic_ns())

    def _refuse(self, message: Message, error: FrameError | TopicError) -> None:
        self.refused[error.reason if isinstance(error, FrameError) else "topic"] += 1
        _LOG.debug("%s: %s", message.topic, error)

    def _take_state(self, message: Message) -> None:
        try:
            state = parse_state(message.payload)
            member = self._member(message, its_own=state is not State.LOST)  # a will, or this hub itself
        except (FrameError, TopicError) as error:
            self._refuse(message, error)
            return
        before, member.state = member.state, state
        if state is before:
            return
        _LOG.info("node %s: %s", member.id, state)
        if state is State.READY:
            self._event("joined", {"node": member.id, "before": before})
        elif state in (State.LOST, State.DISCONNECTED, State.SLEEPING):
            self._table.set_alive(member.number, alive=False)
            kind = {State.LOST: "lost", State.DISCONNECTED: "left", State.SLEEPING: "slept"}[state]
            if before is not None:  # it was there
                self._event(kind, {"node": member.id, "before": before})

    def _take_about(self, message: Message) -> None:
        try:
            about = parse_announcement(About, message.payload)
            if about.protocol != PROTOCOL:
                raise FrameError("protocol", f"{about.node} speaks version {about.protocol}, this hub {PROTOCOL}")
            if about.node != self._topics.parse_node(message.topic).node:
                raise FrameError("announcement", f"the description of {about.node} in another node's place")
            member = self._member(message)
            self._roster.keep(member, "about", len(message.payload))
        except (FrameError, TopicError) as error:
            self._refuse(message, error)
        else:
            member.about = about
            self._ingest.described(member.id)

    def _take_health(self, message: Message) -> None:
        try:
            health = parse_announcement(Health, message.payload)
            node = self._topics.parse_node(message.topic).node
            if self._roster.get(node) is None:
                if message.retained:  # stored before the broker has routed the description: the next will do
                    return
                raise FrameError("no_about", f"{node} has announced nothing yet")
            member = self._member(message)
            self._roster.keep(member, "health", len(message.payload))
        except (FrameError, TopicError) as error:
            self._refuse(message, error)
        else:
            member.health = health

    def _take_frame(self, message: Message) -> None:
        now_ns = self._clock.monotonic_ns()
        refusal = self._ingest.take(message.topic, message.payload, now_us=self._clock.mesh_us(now_ns), now_ns=now_ns)
        if refusal is not None:
            _LOG.debug("%s: %s", message.topic, refusal)
            if refusal.reason in ("no_about", "boot"):
                self._ask_rebirth(self._topics.parse_node(message.topic).node, now_ns)

    def _ask_rebirth(self, node: str, now_ns: int) -> None:
        member = self._roster.get(node)
        if member is None:
            due = self._strangers.due(node, now_ns)
        elif due := member.rebirth_ns is None or now_ns - member.rebirth_ns >= REBIRTH_NS:
            member.rebirth_ns = now_ns
        if due:
            command = NodeCommand(self._boot, self._command, self._clock.mesh_us(now_ns) + REBIRTH_EXPIRY_US)
            self._command += 1
            self._link.publish(self._topics.command(node, "rebirth"), encode_node_command(command), qos=1)

    # -- what goes out ---------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        self._figures.forget()
        self._roster.listen(self._clock.monotonic_ns())

    def _listen_to_the_described(self) -> None:
        """Take health and frames, once the broker has given what it retained: without a description they mean nothing.

        While the broker is still giving, what nodes publish overtakes their own stored descriptions.
        """
        if not self._listening:
            self._listening = True
            self._link.subscribe(f"{self._topics.base}/node/+/health", self._take_health)
            self._link.subscribe(f"{self._topics.base}/node/+/phase/+/+", self._take_frame)

    def _retain(self, topic: str, payload: bytes) -> bool:
        return self._link.publish(topic, payload, retain=True)

    def _tick(self) -> None:
        now_ns = self._clock.monotonic_ns()
        for member in self._roster.silent(now_ns) if self._link.connected else ():
            # The broker sends it back to us, and only then does the roster change: one truth for all who listen.
            if self._link.publish(self._topics.state(member.id), State.LOST.encode(), qos=1, retain=True):
                self._roster.give_up(member, now_ns)
        self._latest = self._evaluator.evaluate(self._clock.mesh_us(now_ns))
        for band in self._latest.bands:
            if band.collapsed != (band.name in self._collapsed):
                self._collapse_changed(band)

    def _collapse_changed(self, band: BandState) -> None:
        if band.collapsed:
            self._collapsed.add(band.name)
            if self.milestones.first_significant_us is None:
                self.milestones.first_significant_us = self._latest.time_us
        else:
            self._collapsed.discard(band.name)
        self._event(
            "collapse" if band.collapsed else "dissipation",
            {
                "band": band.name,
                "coherence": round(band.coherence, 4),
                "n_eff": round(band.n_eff, 3),
                "p": float(f"{band.p:.3g}"),
                "channels": band.channels,
                "p_false": self.config.kairos.p_false,
                "dwell_s": self.config.decision.dwell_s,
            },
        )

    def _publish_figures(self) -> None:
        if not self._link.connected:
            return
        self._figures.take(self._latest)
        if self.milestones.first_coherence_us is None and any(
            band.valid and band.channels >= 2 for band in self._latest.bands
        ):
            self.milestones.first_coherence_us = self._clock.now_us()

    def _publish_snapshot(self) -> None:
        content = snapshot(
            self._latest,
            roster=self._roster,
            table=self._table,
            now_ns=self._clock.monotonic_ns(),
            frames=self._ingest.frames,
            refused=self.refused,
            milestones=self.milestones,
        )
        self._retain(self._topics.snapshot, _json(content))

    def _drive_outputs(self) -> None:
        wanted = self.config.dispatch.band
        band = self._latest.dominant
        if wanted is not None:
            band = next((band for band in self._latest.bands if band.name == wanted), None)
        if band is not None:
            for topic, payload in self._dispatch.commands(band, self._roster.members, self._latest.time_us):
                self._link.publish(topic, payload, qos=1)

    def _event(self, kind: str, content: dict[str, Any]) -> None:
        payload = _json({"time_us": self._clock.now_us(), "kind": kind, **content})
        topic = self._topics.event(kind)
        self._link.publish(topic, payload, qos=1)
        self._link.publish(f"{topic}/last", payload, qos=1, retain=True)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
