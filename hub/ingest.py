"""Phase frames in: decoded, checked, counted, folded into the table. Nothing else writes there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from becomingone.broker.kept_receiver import Verdict
from becomingone.errors import FrameError, TopicError
from becomingone.hub.config import IngestSection
from becomingone.hub.frame_log import StreamKey
from becomingone.hub.kept import KeptFrames
from becomingone.hub.roster import Member, Roster
from becomingone.hub.table import ChannelTable, RowKey
from becomingone.hub.trust import Trust
from becomingone.kairos.bands import Band
from becomingone.wire.frame import Flags, PhaseFrame, decode_frame
from becomingone.wire.replay import Order
from becomingone.wire.topics import Topics

_BAND_TOLERANCE = 1e-6
"""Relative difference up to which a node's band counts as the cell's."""

MAX_ROWS: Final = 65_536
"""Channels times bands of a cell; they are never forgotten while the hub runs."""

MAX_NODE_ROWS: Final = 4096
"""Channels times bands of one node, so that none takes the others' place."""


@dataclass(slots=True)
class _Stream:
    """One channel in one band: where it goes and which frame came last."""

    row: int
    order: Order = field(default_factory=Order)


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
    """

    topics: Topics
    bands: Sequence[Band]
    roster: Roster
    table: ChannelTable
    rules: IngestSection
    refused: Counter[str] = field(default_factory=Counter[str])
    trust: Trust = field(default_factory=Trust)
    kept: KeptFrames | None = None
    frames: int = 0
    _streams: dict[str, _Stream] = field(default_factory=dict[str, _Stream])

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
        self.frames += 1
        member.frames += 1
        self.table.store(stream.row, frame)
        return None

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
        prefix = self.topics.node(node, "")
        for topic, stream in self._streams.items():
            if topic.startswith(prefix):
                self._refresh(topic, stream)

    def _refresh(self, topic: str, stream: _Stream) -> None:
        levels = self.topics.parse_node(topic)
        member = self.roster.get(levels.node)
        if member is not None:
            try:
                stream.row = self._row(member, levels.rest)
            except FrameError:
                # Described no more: it counts no more, and frames that still come find no row.
                if stream.row >= 0:
                    self.table.retire(stream.row)
                stream.row = -1

    def _enrol(self, topic: str, member: Member, rest: tuple[str, ...]) -> _Stream:
        stream = _Stream(self._row(member, rest))
        self._streams[topic] = stream
        return stream

    def _row(self, member: Member, rest: tuple[str, ...]) -> int:
        """Give the table's row of a channel that its node has described.

        Raises
        ------
        FrameError
            ``no_about``, ``unknown_channel``, ``unknown_band``, ``band_mismatch`` or ``too_many_channels``.
        """
        if member.about is None:
            raise FrameError("no_about", f"{member.id} has not described itself yet")
        band_name, channel_name = rest if len(rest) == 2 else ("", "")
        channel = next((c for c in member.about.channels if c.name == channel_name), None)
        if channel is None or band_name not in channel.bands or band_name not in member.about.bands:
            raise FrameError("unknown_channel", f"{member.id} has described no such channel and band: {'/'.join(rest)}")
        number = next((n for n, band in enumerate(self.bands) if band.name == band_name), None)
        if number is None:
            raise FrameError("unknown_band", f"the cell's plan has no band {band_name}")
        ours, theirs = self.bands[number].frequency_hz, member.about.bands[band_name].frequency_hz
        if abs(theirs - ours) > _BAND_TOLERANCE * ours:
            raise FrameError(
                "band_mismatch", f"{band_name} is {ours:g} Hz in this cell and {theirs:g} Hz on {member.id}"
            )
        key = RowKey(member.id, band_name, channel_name)
        if key not in self.table:
            if member.rows >= MAX_NODE_ROWS or len(self.table) >= MAX_ROWS:
                raise FrameError("too_many_channels", f"at most {MAX_NODE_ROWS} channels and bands a node are taken")
            member.rows += 1
        return self.table.row(
            key,
            node=member.number,
            band=number,
            max_age_s=self.rules.max_age_s(self.bands[number].period_s, channel.interval_s),
            capability=member.about.capability,
        )

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
