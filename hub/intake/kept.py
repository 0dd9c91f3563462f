"""Frames that their nodes keep: each is committed once, and then acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from becomingone.broker.kept_receiver import KeptReceiver, Verdict
from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.intake.trust import Trust
from becomingone.hub.memory.protocol import FrameLog, Record, StreamKey
from becomingone.wire.ack import MAX_STREAMS, Ack, Stream, encode_ack
from becomingone.wire.kept import OldestKept, decode_kept
from becomingone.wire.phase import PhaseFrame
from becomingone.wire.replay import Order
from becomingone.wire.topics import Topics

LARGEST_SEQ: Final = (1 << 63) - 1
"""The largest number that the table of frames holds; at a million frames a second it takes 290,000 years."""

MOST_ANNOUNCING: Final = 4096
"""Nodes whose last announcement is known; what of others is announced a second time changes nothing."""

MOST_WAITING: Final = 20_000
"""Frames that may wait for a commit; more are left to their nodes, which send them again."""


class KeptFrames:
    """The kept frames of all nodes.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    log : FrameLog
        Where they are committed.
    link : Link
        Brings what nodes announce, and takes the acknowledgements.
    trust : Trust
        Opens the ones and seals the others.
    refuse : callable
        Counts and tells what is refused.
    committed : callable, optional
        Gets the frames of every commit.

    Attributes
    ----------
    committed, failed : int
        Frames that were committed, and that could not be.
    """

    def __init__(
        self,
        topics: Topics,
        boot: int,
        *,
        log: FrameLog,
        link: Link,
        trust: Trust,
        refuse: Callable[[Message, FrameError | TopicError], None],
        committed: Callable[[Sequence[Record]], None] = lambda _records: None,
    ) -> None:
        self._topics = topics
        self._boot = boot
        self._log = log
        self._link = link
        self._trust = trust
        self._refuse = refuse
        self._tell = committed
        self._orders: dict[str, Order] = {}
        self._receiver = KeptReceiver(
            {(_stream_name(key.node, key.band, key.channel), key.boot): seq for key, seq in log.marks().items()}
        )
        self._waiting: list[Record] = []
        self._reached: dict[StreamKey, int] = {}
        self._batch: list[Record] = []
        self._acks = 0
        self.committed = 0
        self.failed = 0

    def start(self) -> None:
        """Hear what nodes no longer have; before they see this hub, for then they say it."""
        self._link.subscribe(self._topics.kept("+"), self._announced, qos=1)

    def take(self, stream: StreamKey, frame: PhaseFrame, payload: bytes) -> Verdict:
        """Take a frame of a channel that is kept; one that is new waits for the next commit.

        Raises
        ------
        FrameError
            ``range``: its number is one that cannot be committed.
        """
        if frame.seq > LARGEST_SEQ:
            raise FrameError("range", f"a kept frame has a number of at most {LARGEST_SEQ}, not {frame.seq}")
        if len(self._waiting) + len(self._batch) >= MOST_WAITING:
            return Verdict.EARLY
        verdict = self._receiver.take(_stream_name(stream.node, stream.band, stream.channel), stream.boot, frame.seq)
        if verdict is Verdict.NEW:
            self._waiting.append(Record(stream, frame.seq, frame.time_us, payload))
            self._reached[stream] = frame.seq
        return verdict

    def _announced(self, message: Message) -> None:
        try:
            node = self._topics.parse_node(message.topic).node
            life = self._trust.open(node, message.topic, message.payload)
            announced = decode_kept(message.payload)
            if life is not None and announced.boot != life:
                raise FrameError("wrong_epoch", f"of boot {announced.boot}, sent by {node} in its life {life}")
            order = self._orders.get(node) or Order()
            order.check(announced.boot, announced.seq)
        except (FrameError, TopicError) as error:
            self._refuse(message, error)
        else:
            order.take(announced.boot, announced.seq)
            self._orders.pop(node, None)
            self._orders[node] = order
            if len(self._orders) > MOST_ANNOUNCING:
                del self._orders[next(iter(self._orders))]
            self._wait_no_more(node, announced)

    def _wait_no_more(self, node: str, announced: OldestKept) -> None:
        """Take a node's word for what it no longer has."""
        for stream, seq in announced.oldest.items():
            self._receiver.oldest_kept(_stream_name(node, stream.band, stream.channel), stream.boot, seq)

    def commit(self) -> None:
        """Commit what waits, unless a commit is under way; acknowledge what has been committed."""
        if self._waiting and not self._batch:
            records, reached = self._waiting, self._reached
            self._waiting, self._reached = [], {}
            self._batch = records
            self._log.commit(records, reached, self._done)
        self._acknowledge()

    def figures(self) -> dict[str, int]:
        """Give the counters by name."""
        receiver = self._receiver
        return {
            "committed": self.committed,
            "failed": self.failed,
            "duplicates": receiver.duplicates,
            "early": receiver.early,
            "lost": receiver.lost,
        }

    def close(self) -> None:
        """Commit what waits, and close."""
        if self._waiting:
            self._log.commit(self._waiting, self._reached, lambda _reached: None)
        self._log.close()

    def _done(self, reached: Mapping[StreamKey, int] | None) -> None:
        records, self._batch = self._batch, []
        if reached is None:
            self.failed += len(records)
            self._waiting, self._reached = [], {}
            self._receiver.rollback()
            return
        self.committed += len(records)
        self._tell(records)
        for stream, seq in reached.items():
            self._receiver.committed(_stream_name(stream.node, stream.band, stream.channel), stream.boot, seq)
        self._acknowledge()

    def _acknowledge(self) -> None:
        by_node: dict[str, dict[Stream, int]] = {}
        for name, boot, seq in self._receiver.acknowledgements():
            node, band, channel = name.split("/")
            by_node.setdefault(node, {})[Stream(boot, band, channel)] = seq
        for node, committed in by_node.items():
            streams = list(committed.items())
            for first in range(0, len(streams), MAX_STREAMS):
                ack = Ack(boot=self._boot, seq=self._acks, committed=dict(streams[first : first + MAX_STREAMS]))
                self._acks += 1
                topic = self._topics.ack(node)
                payload = self._trust.seal(node, topic, encode_ack(ack))
                if payload is not None:
                    self._link.publish(topic, payload, qos=1)


def _stream_name(node: str, band: str, channel: str) -> str:
    return f"{node}/{band}/{channel}"
