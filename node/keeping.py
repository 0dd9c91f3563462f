"""Frames that must reach the hub's memory: on the disk before they are sent, and until the hub has committed them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from becomingone.broker.kept import KeptSender
from becomingone.broker.kept_outlet import ConfirmedOutlet, Outlet
from becomingone.broker.kept_store import Kept, KeptStore
from becomingone.broker.link import Link, Message
from becomingone.broker.presence import Presence
from becomingone.errors import FrameError
from becomingone.node.pipeline import ChannelId
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler, Timer
from becomingone.wire.ack import decode_ack
from becomingone.wire.announce import State, parse_state
from becomingone.wire.frame import Flags, PhaseFrame, decode_frame, encode_frame
from becomingone.wire.kept import MAX_STREAMS, OldestKept, Stream, encode_kept
from becomingone.wire.topics import Topics

PACE_NS: Final = NANOSECONDS
"""Announcements, and retries because the hub is back, come at most this often, ns."""

CONTENT_TYPE: Final = "application/cbor"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptFigures:
    """How it stands with what is kept.

    Parameters
    ----------
    count, bytes : int
        Frames that the hub has not committed, and the bytes that they take.
    lost : int
        Frames that had to make room, or could never be sent, before the hub had committed them.
    resent : int
        Frames sent again.
    damaged : int
        Places of the disk that could not be read.
    oldest_boot : int or None
        The earliest life of this node of which something is kept; None where nothing is.
    fault : str
        What is wrong with the disk; empty while nothing is.
    """

    count: int
    bytes: int
    lost: int
    resent: int
    damaged: int
    oldest_boot: int | None
    fault: str


class Keeping:
    """Keeps frames, sends them, and lets go of what the hub has committed.

    Parameters
    ----------
    node : str
        The node's id.
    link : Link
        Not started yet.
    topics : Topics
        The cell's topics.
    trust : Trust
        Seals what goes out with the key of this life, whichever life recorded it, and opens what comes.
    store : KeptStore
        Where frames wait; whoever made it closes it, after this.
    scheduler : Scheduler
        Gives the turns.
    clock : MeshClock
        Times what is told about refusals.
    boot : int
        The node's boot id.
    late_per_s : float
        Late frames sent a second, at most.
    presence : Presence, optional
        Nothing is sent before it is confirmed: a hub could make nothing of frames whose channels it does not know.
    held : callable
        Whether nothing is to be sent just now, as mesh time is not known yet; asked at every `retry` and once a second.

    Attributes
    ----------
    refused : Counter of str
        Acknowledgements that were refused, by reason.
    """

    def __init__(
        self,
        node: str,
        *,
        link: Link,
        topics: Topics,
        trust: Trust,
        store: KeptStore,
        scheduler: Scheduler,
        clock: MeshClock,
        boot: int,
        late_per_s: float,
        presence: Presence | None = None,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._node = node
        self._link = link
        self._topics = topics
        self._trust = trust
        self._store = store
        self._scheduler = scheduler
        self._clock = clock
        self._boot = boot
        self._outlet: Outlet = link if presence is None else ConfirmedOutlet(link, presence, held)
        self._late_per_s = late_per_s
        self._phase_topics: dict[ChannelId, str] = {}
        self._sender: KeptSender | None = None
        self._newest_ack = (-1, -1)
        self._hub: State | None = None
        self._announcements = 0
        self._announced_ns: int | None = None
        self._announcement: Timer | None = None
        self._retried_ns: int | None = None
        self._held = held
        self._release: Timer | None = None

    def start(self) -> None:
        """Hear the hub, and begin to send; to be called before the link is started, after what goes before frames."""
        self._link.subscribe(self._topics.ack(self._node), self._acknowledged, qos=1)
        self._link.subscribe(self._topics.hub_state, self._hub_state, qos=1)
        self._link.on_down(self._lost)
        self._outlet.on_up(self._announce)  # before the sender's own turn
        self._sender = KeptSender(
            self._outlet,
            self._store,
            self._scheduler,
            late_per_s=self._late_per_s,
            render=self._render,
            content_type=CONTENT_TYPE,
            on_hole=self._announce_soon,
            on_rewind=self._announce,
        )
        self._store.on_mended = self.retry

    def close(self) -> None:
        """Send nothing any more; what is kept stays where it is."""
        self._store.on_mended = None
        for timer in (self._announcement, self._release):
            if timer is not None:
                timer.cancel()
        self._announcement = None
        if self._sender is not None:
            self._sender.close()

    def pace(self, late_per_s: float) -> None:
        """Send so many late frames a second, at most, from now on."""
        self._late_per_s = late_per_s
        if self._sender is not None:
            self._sender.pace(late_per_s)

    def keep(self, identity: ChannelId, frame: PhaseFrame) -> None:
        """Store a frame, then send it as soon as its turn comes.

        Raises
        ------
        FrameError
            The frame breaks a rule of the protocol; nothing is stored.
        LinkError
            It is not newer than the last of its channel and band.
        RuntimeError
            `start` has not been called.
        """
        if self._sender is None:
            msg = "frames can be kept once keeping has been started"
            raise RuntimeError(msg)
        if (topic := self._phase_topics.get(identity)) is None:
            topic = self._phase_topics[identity] = self._topics.phase(self._node, identity.band, identity.channel)
        stream = f"{identity.band}/{identity.channel}"
        self._sender.keep(stream, frame.boot, frame.seq, topic, encode_frame(frame))

    def retry(self) -> None:
        """Send everything again that the hub has not committed: it is back, or the disk is."""
        self._retried_ns = self._scheduler.monotonic_ns()
        if self._release is not None:
            self._release.cancel()
        if self._held():
            self._release = self._scheduler.call_at(self._retried_ns + PACE_NS, self.retry)
        elif self._sender is not None:
            if self._outlet.connected:
                self._announce()
            self._sender.retry()

    @property
    def figures(self) -> KeptFigures:
        """How it stands."""
        sender = self._sender
        return KeptFigures(
            count=len(self._store),
            bytes=self._store.taken,
            lost=0 if sender is None else sender.dropped,
            resent=0 if sender is None else sender.resent,
            damaged=self._store.damaged,
            oldest_boot=min((boot for _, boot in self._store.streams()), default=None),
            fault=self._store.fault,
        )

    def _render(self, entry: Kept, late: bool) -> bytes | None:
        """Seal a frame for this life, and flag it if it is late; None for one that no hub would take.

        Mesh time may have been stepped since it was recorded, at a start before the hub could be asked; the frame then
        goes with the time that is known now. Of an earlier life nobody knows.
        """
        payload = entry.payload
        stepped_ns = 0 if entry.kept_ns is None else self._clock.stepped_ns(entry.kept_ns)
        if late or stepped_ns:
            try:
                frame = decode_frame(payload)
                frame = frame._replace(time_us=frame.time_us + stepped_ns // 1_000)
                payload = encode_frame(frame._replace(flags=frame.flags | Flags.HISTORICAL) if late else frame)
            except FrameError as error:
                name, boot = entry.stream
                _LOG.error("%s, frame %d of boot %d is given up: %s", name, entry.seq, boot, error)
                return None
        return self._trust.seal(entry.topic, payload)

    # -- what the hub says ---------------------------------------------------------------------------------------------

    def _acknowledged(self, message: Message) -> None:
        sender = self._sender
        if sender is None:
            return
        try:
            ack = decode_ack(self._trust.open(message.topic, message.payload))
            if (ack.boot, ack.seq) <= self._newest_ack:
                raise FrameError("replayed", f"number {ack.seq} of the hub's life {ack.boot} is not newer")
        except FrameError as error:
            self.refused[error.reason] += 1
            self._trust.audit.note("ack", message.topic, error, self._clock.monotonic_ns())
            return
        self._newest_ack = (ack.boot, ack.seq)
        for stream, seq in ack.committed.items():
            sender.acknowledged(f"{stream.band}/{stream.channel}", stream.boot, seq)

    def _hub_state(self, message: Message) -> None:
        """Send again when the hub has come back while this node stayed connected."""
        try:
            state = parse_state(message.payload)
        except FrameError as error:
            self.refused[error.reason] += 1
            self._trust.audit.note("hub", message.topic, error, self._clock.monotonic_ns())
            return
        before, self._hub = self._hub, state
        now = self._scheduler.monotonic_ns()
        paced = self._retried_ns is None or now - self._retried_ns >= PACE_NS
        if state is State.READY and before not in (None, State.READY) and paced:
            self.retry()

    def _lost(self, _reason: str) -> None:
        self._hub = None  # after the next connection the broker tells it anew

    # -- what is told to the hub ---------------------------------------------------------------------------------------

    def _announce_soon(self) -> None:
        """Say where what is kept begins: at once, or a moment after the last time."""
        if self._announcement is not None or not self._outlet.connected:  # after a connection it is said anyway
            return
        now = self._scheduler.monotonic_ns()
        if self._announced_ns is None or now - self._announced_ns >= PACE_NS:
            self._announce()
        else:
            self._announcement = self._scheduler.call_at(self._announced_ns + PACE_NS, self._announce)

    def _announce(self) -> None:
        if self._announcement is not None:
            self._announcement.cancel()
            self._announcement = None
        if self._sender is None or not self._outlet.connected:
            return
        oldest = [(_stream(name, boot), seq) for (name, boot), seq in self._sender.oldest().items()]
        if oldest:
            self._announced_ns = self._scheduler.monotonic_ns()
        topic = self._topics.kept(self._node)
        for first in range(0, len(oldest), MAX_STREAMS):
            named = dict(oldest[first : first + MAX_STREAMS])
            part = OldestKept(boot=self._boot, seq=self._announcements, oldest=named)
            self._announcements += 1
            payload = self._trust.seal(topic, encode_kept(part))
            self._link.publish(topic, payload, qos=1, content_type=CONTENT_TYPE)


def _stream(name: str, boot: int) -> Stream:
    band, _, channel = name.partition("/")
    return Stream(boot, band, channel)
