"""Phase frames in: decoded, checked, counted, folded into the table. Nothing else writes there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from becomingone.broker.kept_receiver import Verdict
from becomingone.errors import FrameError, TopicError
from becomingone.hub.config import IngestSection
from becomingone.hub.intake.described import described_row
from becomingone.hub.intake.kept import KeptFrames
from becomingone.hub.intake.live import QuickStream, last_of, store
from becomingone.hub.intake.roster import Member, Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.memory.protocol import StreamKey
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.bands import Band
from becomingone.wire.frame import Flags, PhaseFrame, decode_frame
from becomingone.wire.layout import Live
from becomingone.wire.replay import Order
from becomingone.wire.topics import Topics

_SURE_US: Final = 1_000.0
"""What is so near to a bound of time, µs, is decided by the exact comparison."""

_HISTORICAL: Final = int(Flags.HISTORICAL)


@dataclass(slots=True)
class _Stream:
    """One channel in one band: where it goes and which frame came last."""

    row: int
    order: Order = field(default_factory=Order)


def _never(_node: str, _now_ns: int) -> bool:
    return False


def _nobody(_rows: Sequence[int]) -> None:
    pass


@dataclass(slots=True)
class Ingest:
    """Takes phase frames.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    bands : sequence of Band
        The cell's band plan.
    roster : Roster
        Tells a node's description.
    table : ChannelTable
        Receives the live state.
    rules : IngestSection
        Which frames are fresh enough.
    refused : Counter of str
        Counts what cannot be counted against a node: topics that are no channel's, frames of strangers.
    trust : Trust
        Tells whose frames they are.
    kept : KeptFrames or None
        Takes what nodes keep until it is committed; None: nothing is committed here.
    held : callable
        Tells whether a node, by its id, is left out at an instant of the monotonic clock.
    stored : callable
        Called with the rows of the table that have just changed.
    """

    topics: Topics
    bands: Sequence[Band]
    roster: Roster
    table: ChannelTable
    rules: IngestSection
    refused: Counter[str] = field(default_factory=Counter[str])
    trust: Trust = field(default_factory=Trust)
    kept: KeptFrames | None = None
    held: Callable[[str, int], bool] = _never
    stored: Callable[[Sequence[int]], None] = _nobody
    frames: int = 0
    _streams: dict[str, _Stream] = field(default_factory=dict[str, _Stream])
    _topics_of: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _quick: dict[str, QuickStream] = field(default_factory=dict[str, QuickStream])
    _lives: int = 0

    def take(self, topic: str, payload: bytes, *, now_us: int, now_ns: int) -> FrameError | None:
        """Take a message from below ``node/+/phase``.

        Returns
        -------
        FrameError or None
            Why it was refused; already counted, against the node where it is a member.
        """
        try:
            levels = self.topics.parse_node(topic)
            if levels.kind != "phase":
                raise TopicError(f"{topic!r} is not below phase/")
        except TopicError as error:
            self.refused["topic"] += 1
            return FrameError("topic", str(error))
        try:
            life = self.trust.open(levels.node, topic, payload)
        except FrameError as error:
            known = self.roster.get(levels.node)
            (self.refused if known is None else known.refused)[error.reason] += 1
            return error
        member = self.roster.heard(levels.node, now_ns)
        if member is None:
            self.refused["no_about"] += 1
            return FrameError("no_about", f"{levels.node} has announced nothing yet")
        try:
            if self.held(member.id, now_ns):
                raise FrameError("quarantined", f"{member.id} is left out for a while")
            frame = decode_frame(payload)
            stream = self._streams.get(topic)
            if self._settled(member, levels.rest, frame, payload, stream, life=life):
                return None
            stream = stream or self._enrol(topic, member, levels.rest)
            self._check(member, stream, frame, life=life, now_us=now_us)
        except FrameError as error:
            member.refused[error.reason] += 1
            return error
        member.missing += stream.order.take(frame.boot, frame.seq)
        member.frames += 1
        self._store([stream.row], [last_of(frame)])
        self._remember(topic, member, levels.rest, stream, life=life)
        return None

    def take_batch(
        self, messages: Sequence[tuple[str, bytes]], *, now_us: int, now_ns: int
    ) -> list[tuple[str, FrameError]]:
        """Take messages as `take` would, one after the other.

        Where a stream's last frame was an ordinary one, the next very likely is, too: nothing needs to be looked up for
        it, and what it says is stored together with the others'. Whatever is not ordinary goes the way of `take`.

        Returns
        -------
        list of (str, FrameError)
            Topic and reason of each that was refused.
        """
        refused: list[tuple[str, FrameError]] = []
        rows: list[int] = []
        figures: list[Live] = []
        latest_us = now_us + self.rules.max_ahead_s * 1e6 - _SURE_US
        begins_us = self.trust.begins_us + _SURE_US
        for topic, payload in messages:
            if self._lives != self.trust.lives:
                self._lives = self.trust.lives
                self._quick.clear()
            quick = self._quick.get(topic)
            opened = quick.open(payload) if quick is not None else None
            if quick is not None and opened is not None:
                boot, seq, live = opened
                order = quick.order
                if (
                    boot == order.boot
                    and seq > order.seq
                    and begins_us < live[0] < latest_us
                    and now_us - live[0] < quick.max_age_us
                    and not live[-1] & _HISTORICAL
                ):
                    member = quick.member
                    member.missing += seq - order.seq - 1
                    member.frames += 1
                    member.heard_ns = now_ns
                    order.seq = seq
                    rows.append(quick.row)
                    figures.append(live)
                    continue
            self._store(rows, figures)
            rows, figures = [], []
            error = self.take(topic, payload, now_us=now_us, now_ns=now_ns)
            if error is not None:
                refused.append((topic, error))
        self._store(rows, figures)
        return refused

    def _store(self, rows: list[int], figures: list[Live]) -> None:
        if rows:
            store(self.table, rows, figures)
            self.frames += len(rows)
            self.stored(rows)

    def _remember(
        self, topic: str, member: Member, rest: tuple[str, ...], stream: _Stream, *, life: int | None
    ) -> None:
        """Take the stream's next frame quickly, unless its node keeps them."""
        if topic not in self._quick and (self.kept is None or not self._kept(member, rest[1])):
            mac = None if life is None else self.trust.mac(member.id, topic, life)
            max_age_us = float(self.table.floats("max_age_s")[stream.row]) * 1e6 - _SURE_US
            self._quick[topic] = QuickStream(stream.row, stream.order, member, max_age_us, mac)

    def _settled(
        self,
        member: Member,
        rest: tuple[str, ...],
        frame: PhaseFrame,
        payload: bytes,
        stream: _Stream | None,
        *,
        life: int | None,
    ) -> bool:
        """Keep a frame that its node keeps; True where that is all there is to do with it.

        What is sent late belongs to the memory alone, whatever its node describes by now. What comes again, because one
        before it was missing or an acknowledgement was, has been live already.
        """
        late = bool(frame.flags & Flags.HISTORICAL)
        if self.kept is None or len(rest) != 2 or not (late or self._kept(member, rest[1])):
            return False
        newest = life if life is not None else member.about.boot if member.about is not None else -1
        if frame.boot > newest:
            raise FrameError("boot", f"boot {frame.boot} of {member.id}, which is in its life {newest}")
        verdict = self.kept.take(StreamKey(member.id, *rest, frame.boot), frame, payload)
        again = stream is not None and frame.boot == stream.order.boot and frame.seq <= stream.order.seq
        return late or again or verdict is Verdict.DUPLICATE

    def _kept(self, member: Member, channel: str) -> bool:
        return member.about is not None and any(c.keep and c.name == channel for c in member.about.channels)

    @property
    def streams(self) -> int:
        """How many channels in how many bands have sent an acceptable frame."""
        return len(self._streams)

    def described(self, node: str) -> None:
        """Look a node's channels up again at its next frames: its description has changed."""
        for topic in self._topics_of.get(node, ()):
            self._quick.pop(topic, None)
            self._refresh(topic, self._streams[topic])

    def _refresh(self, topic: str, stream: _Stream) -> None:
        levels = self.topics.parse_node(topic)
        member = self.roster.get(levels.node)
        if member is not None:
            try:
                stream.row = described_row(member, levels.rest, bands=self.bands, table=self.table, rules=self.rules)
            except FrameError:
                # Described no more: it counts no more, and frames that still come find no row.
                if stream.row >= 0:
                    self.table.retire(stream.row)
                stream.row = -1

    def _enrol(self, topic: str, member: Member, rest: tuple[str, ...]) -> _Stream:
        stream = _Stream(described_row(member, rest, bands=self.bands, table=self.table, rules=self.rules))
        self._streams[topic] = stream
        self._topics_of.setdefault(member.id, []).append(topic)
        return stream

    def _check(self, member: Member, stream: _Stream, frame: PhaseFrame, *, life: int | None, now_us: int) -> None:
        if stream.row < 0:
            raise FrameError("unknown_channel", "the node no longer describes this channel and band")
        if frame.flags & Flags.HISTORICAL:
            raise FrameError("historical", "sent late, for the memory; it never enters the live state")
        if life is not None and frame.boot != life:
            raise FrameError("wrong_epoch", f"of boot {frame.boot}, sent live by {member.id} in its life {life}")
        if member.about is None or frame.boot != member.about.boot:
            raise FrameError("boot", f"boot {frame.boot} is not the one that {member.id} has described")
        stream.order.check(frame.boot, frame.seq)
        age_s = (now_us - frame.last_time_us) / 1e6
        if -age_s > self.rules.max_ahead_s:
            raise FrameError("future", f"{-age_s:.3f} s ahead of the hub's clock")
        self.trust.check_start(frame.last_time_us)
        if age_s > self.table.floats("max_age_s")[stream.row]:
            raise FrameError("late", f"{age_s:.3f} s old, and no part of the live state any more")
