"""What nodes say, taken in: descriptions, states, health, frames; refusals counted, strangers asked who they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.config import HubConfig
from becomingone.hub.dispatch.commands import NodeCommands
from becomingone.hub.intake.descriptions import Descriptions
from becomingone.hub.intake.forget import Forget
from becomingone.hub.intake.ingest import Ingest
from becomingone.hub.intake.kept import KeptFrames
from becomingone.hub.intake.quarantine import Quarantine
from becomingone.hub.intake.rebirth import RebirthRequests
from becomingone.hub.intake.refusals import RefusalLog
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.states import NodeStates
from becomingone.hub.intake.trust import Trust
from becomingone.hub.intake.twins import Twins
from becomingone.hub.mesh.standing import Standing
from becomingone.hub.mesh.table import ChannelTable
from becomingone.scheduling import MeshClock
from becomingone.wire.announce import State
from becomingone.wire.topics import Topics

Tell = Callable[[str, dict[str, Any]], object]


class Intake:
    """Takes messages.

    Parameters
    ----------
    config : HubConfig
        The band plan and the rules.
    topics : Topics
        The cell's topics.
    roster, table, trust, standing : Roster, ChannelTable, Trust, Standing
        What is known of the nodes.
    link : Link
        Brings the messages.
    clock : MeshClock
        The hub's clock.
    commands : NodeCommands
        Asks nodes to describe themselves.
    tell : callable
        Publishes an event of a kind.

    Attributes
    ----------
    refused : Counter of str
        Messages that could be counted against no node, by reason.
    kept : KeptFrames or None
        Takes what nodes keep.
    """

    def __init__(
        self,
        config: HubConfig,
        topics: Topics,
        *,
        roster: Roster,
        table: ChannelTable,
        trust: Trust,
        standing: Standing,
        link: Link,
        clock: MeshClock,
        commands: NodeCommands,
        tell: Tell,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.kept: KeptFrames | None = None
        self._topics = topics
        self._roster = roster
        self._trust = trust
        self._link = link
        self._clock = clock
        self._descriptions = Descriptions(topics, roster, trust, clock)
        self._states = NodeStates(self._descriptions, table, refuse=self.refuse, event=tell)
        self._refusals = RefusalLog(topics, lambda content: tell("distrusted", content))
        self._rebirths = RebirthRequests(commands)
        self._twins = Twins(standing, tell)
        self.quarantine = Quarantine(config.quarantine, standing)
        self.forget = Forget(topics, link=link, roster=roster, table=table, tell=tell)
        self.ingest = Ingest(
            topics,
            config.band_plan(),
            roster,
            table,
            rules=config.ingest,
            refused=self.refused,
            trust=trust,
            held=self.quarantine.holds,
        )
        self.quarantine.began = self.forget.gone = self.ingest.described

    def keep(self, kept: KeptFrames) -> None:
        """Hand on what nodes keep."""
        self.kept = self.ingest.kept = kept

    def start(self) -> None:
        """Hear what the broker has retained of nodes."""
        base = self._topics.base
        if not self._trust.authenticated:
            self._link.subscribe(f"{base}/node/+/state", self._states.take, qos=1)
        self._link.subscribe(f"{base}/node/+/about", self._take_about, qos=1)
        if self.kept is not None:
            self.kept.start()

    def listen(self) -> None:
        """Take health and frames, once the broker has given what it retained: without a description they mean nothing.

        While the broker is still giving, what nodes publish overtakes their own stored descriptions.
        """
        base = self._topics.base
        if self._trust.authenticated:  # whoever says how a node is, that there is such a node is for it to prove
            self._link.subscribe(f"{base}/node/+/state", self._states.take, qos=1)
        self._link.subscribe(f"{base}/node/+/health", self._take_health)
        self._link.subscribe(f"{base}/node/+/phase/+/+", self._take_frame, qos=1, bulk=self._take_frames)

    def look(self) -> None:
        """Ask those who are heard and do not say that they are there; tell of refusals. About once a second."""
        now_ns = self._clock.monotonic_ns()
        for member in self._roster.unsure(now_ns):
            self._rebirths.ask(member.id, member, now_ns=now_ns, now_us=self._clock.mesh_us(now_ns))
        self._refusals.flush(now_ns)

    def refuse(self, message: Message, error: FrameError | TopicError) -> None:
        """Count and tell what is refused, and hold it against its node where that speaks against it."""
        known = error if isinstance(error, FrameError) else FrameError("topic", str(error))
        self.refused[known.reason] += 1
        now_ns = self._clock.monotonic_ns()
        self._refusals.note(message.topic, known, now_ns)
        if not self._trust.authenticated:  # there, only what is sealed is certainly the node's own: its frames
            self._blame(message.topic, known.reason, now_ns)

    def _blame(self, topic: str, reason: str, now_ns: int) -> None:
        try:
            node = self._topics.parse_node(topic).node
        except TopicError:
            return
        if self._roster.get(node) is not None:
            self.quarantine.note(node, reason, now_ns=now_ns, now_us=self._clock.mesh_us(now_ns))

    def _take_about(self, message: Message) -> None:
        if self._descriptions.forgotten(message) or (not message.payload and self._withdrawn(message)):
            return
        try:
            member = self._descriptions.take_about(message)
        except (FrameError, TopicError) as error:
            self.refuse(message, error)
            if isinstance(error, FrameError) and error.reason == "wrong_epoch":  # the broker's copy of an earlier life
                self._ask_rebirth(message.topic, self._clock.monotonic_ns())
        else:
            self.ingest.described(member.id)
            if not message.retained and member.about is not None:
                self._twins.described(member.about, now_us=self._clock.now_us())

    def _withdrawn(self, message: Message) -> bool:
        """Forget a node that is not there and whose description has been taken away; tell whether it was so."""
        try:
            member = self._roster.get(self._topics.parse_node(message.topic).node)
        except TopicError:
            return False
        if member is None or self._trust.authenticated or member.state in (State.INIT, State.READY):
            return False
        self.forget.forgotten(member)
        return True

    def _take_health(self, message: Message) -> None:
        if self._descriptions.forgotten(message):
            return
        try:
            self._descriptions.take_health(message)
        except (FrameError, TopicError) as error:
            self.refuse(message, error)

    def _take_frame(self, message: Message) -> None:
        now_ns = self._clock.monotonic_ns()
        refusal = self.ingest.take(message.topic, message.payload, now_us=self._clock.mesh_us(now_ns), now_ns=now_ns)
        if refusal is not None:
            self._refused_frame(message.topic, refusal, now_ns)

    def _take_frames(self, messages: Sequence[tuple[str, bytes]]) -> None:
        now_ns = self._clock.monotonic_ns()
        for topic, refusal in self.ingest.take_batch(messages, now_us=self._clock.mesh_us(now_ns), now_ns=now_ns):
            self._refused_frame(topic, refusal, now_ns)

    def _refused_frame(self, topic: str, refusal: FrameError, now_ns: int) -> None:
        self._refusals.note(topic, refusal, now_ns)
        if not (self._trust.authenticated and refusal.reason == "oversize"):  # there, its seal was not even looked at
            self._blame(topic, refusal.reason, now_ns)
        if refusal.reason in ("no_about", "boot"):
            self._ask_rebirth(topic, now_ns)

    def _ask_rebirth(self, topic: str, now_ns: int) -> None:
        node = self._topics.parse_node(topic).node
        self._rebirths.ask(node, self._roster.get(node), now_ns=now_ns, now_us=self._clock.mesh_us(now_ns))
