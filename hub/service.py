"""The hub: messages in, ticks, figures, events and commands out, in the turns of one scheduler over one link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from becomingone.broker.link import Link, LinkFactory, Message, Will
from becomingone.broker.presence import Presence
from becomingone.broker.sys_metrics import SysMetrics
from becomingone.errors import FrameError, TopicError
from becomingone.hub.clock_server import ClockServer
from becomingone.hub.collapse import Collapses
from becomingone.hub.commands import NodeCommands
from becomingone.hub.config import HubConfig
from becomingone.hub.descriptions import Descriptions
from becomingone.hub.desired import DesiredConfigs
from becomingone.hub.dispatch import Dispatch
from becomingone.hub.epochs import EpochStore
from becomingone.hub.events import Events, compact
from becomingone.hub.frame_log import FrameLog
from becomingone.hub.ingest import Ingest
from becomingone.hub.kept import KeptFrames
from becomingone.hub.mesh import MeshEvaluator
from becomingone.hub.operations import Operations
from becomingone.hub.publish import FigurePublisher
from becomingone.hub.rebirth import RebirthRequests
from becomingone.hub.refusals import RefusalLog
from becomingone.hub.roster import Roster
from becomingone.hub.snapshot import Milestones, snapshot
from becomingone.hub.state import MeshState
from becomingone.hub.states import NodeStates
from becomingone.hub.sync import SyncPublisher
from becomingone.hub.table import ChannelTable
from becomingone.hub.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Repeating, Scheduler
from becomingone.wire.announce import State
from becomingone.wire.topics import Topics

FIGURES_HZ: Final = 10.0
"""The figures' topics change at most so often a second."""

SNAPSHOT_S: Final = 1.0
"""Seconds between snapshots."""


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
    epochs : EpochStore, optional
        Keeps the nodes' newest lives over the hub's restarts, in an authenticated cell.
    frames : FrameLog, optional
        Where frames that nodes keep are committed; without it nothing is acknowledged, and they keep them.
    """

    def __init__(
        self,
        config: HubConfig,
        *,
        boot: int,
        links: LinkFactory,
        clock: MeshClock,
        scheduler: Scheduler,
        epochs: EpochStore | None = None,
        frames: FrameLog | None = None,
    ) -> None:
        self.config = config
        self.refused: Counter[str] = Counter()
        self.milestones = Milestones()
        self._clock = clock
        self._scheduler = scheduler
        self._topics = Topics(config.root, config.cell)
        self._link: Link = links(self._topics.client_id("hub"), Will(self._topics.hub_state, State.LOST.encode()))
        self._presence = Presence(self._link, self._topics.hub_state, scheduler)
        self._event = Events(self._topics, self._link, clock).tell
        self._bands = config.band_plan()
        self._roster = Roster()
        self._table = ChannelTable()
        self._trust = Trust.of(config, now_us=clock.now_us(), store=epochs)
        self._descriptions = Descriptions(self._topics, self._roster, self._trust, clock)
        self._refusals = RefusalLog(self._topics, lambda content: self._event("distrusted", content))
        self._kept = (
            KeptFrames(self._topics, boot, log=frames, link=self._link, trust=self._trust, refuse=self._refuse)
            if frames is not None
            else None
        )
        self._states = NodeStates(self._descriptions, self._table, refuse=self._refuse, event=self._event)
        self._ingest = Ingest(
            self._topics,
            self._bands,
            self._roster,
            self._table,
            rules=config.ingest,
            refused=self.refused,
            trust=self._trust,
            kept=self._kept,
        )
        self._clock_server = ClockServer(
            self._topics, boot, link=self._link, clock=clock, trust=self._trust, refuse=self._refuse
        )
        self._evaluator = MeshEvaluator(config, self._table)
        self._figures = FigurePublisher(self._topics, self._retain)
        self._dispatch = Dispatch.of(config.dispatch, self._topics, boot, self._trust.seal)
        self._sync = SyncPublisher.of(config, self._topics, boot, self._link.publish)
        commands = NodeCommands(self._topics, boot, seal=self._trust.seal, publish=self._command)
        self._rebirths = RebirthRequests(commands)
        self.operations = Operations(
            self._topics,
            link=self._link,
            commands=commands,
            roster=self._roster,
            trust=self._trust,
            rules=config.operate,
            clock=clock,
            scheduler=scheduler,
            refuse=self._refuse,
            event=lambda content: self._event("operation", content),
        )
        drifted = partial(self._event, "drifted")
        self._desired = DesiredConfigs(
            config, boot, topics=self._topics, trust=self._trust, link=self._link, event=drifted
        )
        self._latest = MeshState(clock.now_us(), ())
        self._collapses = Collapses(config, self.milestones, self._event)
        self._broker: SysMetrics | None = None
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
        if not self._trust.authenticated:
            link.subscribe(f"{base}/node/+/state", self._states.take, qos=1)
        link.subscribe(f"{base}/node/+/about", self._take_about, qos=1)
        self._clock_server.start()
        if self._kept is not None:
            self._kept.start()
        self._presence.on_confirmed(self._listen_to_the_described)
        self.operations.start()
        link.start()
        for hertz, turn in (
            (self.config.tick_hz, self._tick),
            (min(FIGURES_HZ, self.config.tick_hz), self._publish_figures),
            (self.config.dispatch.rate_hz, self._drive_outputs),
            (1.0 / SNAPSHOT_S, self._publish_snapshot),
        ):
            self._turns.append(Repeating(self._scheduler, int(NANOSECONDS / hertz), turn))
        if self._kept is not None:
            period_ns = int(self.config.memory.commit_s * NANOSECONDS)
            self._turns.append(Repeating(self._scheduler, period_ns, self._kept.commit))

    def stop(self, done: Callable[[], None]) -> None:
        """Publish the last snapshot, take the figures back, say goodbye, call back."""
        for turn in self._turns:
            turn.cancel()
        self.operations.stop()
        self._publish_snapshot()
        self._figures.withdraw()
        if self._kept is not None:
            self._kept.close()
        self._presence.leave(done)

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _refuse(self, message: Message, error: FrameError | TopicError) -> None:
        known = error if isinstance(error, FrameError) else FrameError("topic", str(error))
        self.refused[known.reason] += 1
        self._refusals.note(message.topic, known, self._clock.monotonic_ns())

    def _take_about(self, message: Message) -> None:
        try:
            member = self._descriptions.take_about(message)
        except (FrameError, TopicError) as error:
            self._refuse(message, error)
            if isinstance(error, FrameError) and error.reason == "wrong_epoch":  # the broker's copy of an earlier life
                self._ask_rebirth(message.topic, self._clock.monotonic_ns())
        else:
            self._ingest.described(member.id)

    def _take_health(self, message: Message) -> None:
        try:
            self._descriptions.take_health(message)
        except (FrameError, TopicError) as error:
            self._refuse(message, error)

    def _take_frame(self, message: Message) -> None:
        now_ns = self._clock.monotonic_ns()
        refusal = self._ingest.take(message.topic, message.payload, now_us=self._clock.mesh_us(now_ns), now_ns=now_ns)
        if refusal is not None:
            self._refusals.note(message.topic, refusal, now_ns)
            if refusal.reason in ("no_about", "boot"):
                self._ask_rebirth(message.topic, now_ns)

    def _ask_rebirth(self, topic: str, now_ns: int) -> None:
        node = self._topics.parse_node(topic).node
        self._rebirths.ask(node, self._roster.get(node), now_ns=now_ns, now_us=self._clock.mesh_us(now_ns))

    # -- what goes out ---------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        self._figures.forget()
        self._desired.forget()
        self._roster.listen(self._clock.monotonic_ns())

    def _listen_to_the_described(self) -> None:
        """Take health and frames, once the broker has given what it retained: without a description they mean nothing.

        While the broker is still giving, what nodes publish overtakes their own stored descriptions.
        """
        if self._broker is None:
            if self._trust.authenticated:  # whoever says how a node is, that there is such a node is for it to prove
                self._link.subscribe(f"{self._topics.base}/node/+/state", self._states.take, qos=1)
            self._link.subscribe(f"{self._topics.base}/node/+/health", self._take_health)
            self._link.subscribe(f"{self._topics.base}/node/+/phase/+/+", self._take_frame, qos=1)
            self._broker = SysMetrics(self._link)

    def _retain(self, topic: str, payload: bytes) -> bool:
        return self._link.publish(topic, payload, retain=True)

    def _tick(self) -> None:
        now_ns = self._clock.monotonic_ns()
        for member in self._roster.silent(now_ns) if self._link.connected else ():
            # The broker sends it back to us, and only then does the roster change: one truth for all who listen.
            if self._link.publish(self._topics.state(member.id), State.LOST.encode(), qos=1, retain=True):
                self._roster.give_up(member, now_ns)
        self._latest = self._evaluator.evaluate(self._clock.mesh_us(now_ns))
        if self._sync is not None and self._link.connected:
            self._sync.take(self._latest, len(self._roster.members))
        self._collapses.look(self._latest)

    def _publish_figures(self) -> None:
        if not self._link.connected:
            return
        self._figures.take(self._latest)
        if self.milestones.first_coherence_us is None and any(
            band.valid and band.channels >= 2 for band in self._latest.bands
        ):
            self.milestones.first_coherence_us = self._clock.now_us()

    def _publish_snapshot(self) -> None:
        now_ns = self._clock.monotonic_ns()
        for member in self._roster.unsure(now_ns):
            self._rebirths.ask(member.id, member, now_ns=now_ns, now_us=self._clock.mesh_us(now_ns))
        self._desired.look(self._roster.members)
        content = snapshot(
            self._latest,
            roster=self._roster,
            table=self._table,
            now_ns=now_ns,
            frames=self._ingest.frames,
            refused=self.refused,
            milestones=self.milestones,
            broker=self._broker.figures.as_json() if self._broker is not None else {},
            authenticated=self._trust.authenticated,
            config_of=self._desired.seen,
            kept=self._kept.figures() if self._kept is not None else {},
        )
        self._retain(self._topics.snapshot, compact(content))
        self._refusals.flush(now_ns)
        self._trust.keep()

    def _drive_outputs(self) -> None:
        for topic, payload in self._dispatch.drive(self._latest, self._roster.members):
            self._command(topic, payload)

    def _command(self, topic: str, payload: bytes) -> bool:
        return self._link.publish(topic, payload, qos=1)
