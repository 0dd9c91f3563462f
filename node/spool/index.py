"""What a spool knows by heart: per segment and stream, which sequence numbers it holds; never the messages.

Where each message stands is known of a few segments at a time only, and read again from the others when needed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from becomingone.broker.kept_store import StreamId
from becomingone.node.spool.contents import Extent, Route
from becomingone.node.spool.record import Codec


@dataclass(slots=True)
class Places:
    """Where a stream's messages stand in one segment: sequence numbers, growing, and offsets."""

    seqs: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("I"))

    def add(self, seq: int, offset: int) -> None:
        """Add the next message."""
        self.seqs.append(seq)
        self.offsets.append(offset)

    def keep(self, start: int, stop: int) -> None:
        """Keep those from one place to another."""
        self.seqs = self.seqs[start:stop]
        self.offsets = self.offsets[start:stop]


@dataclass(slots=True, eq=False)
class Segment:
    """One file in use.

    Parameters
    ----------
    codec : Codec
        Of its number.
    name : str
        The file's.
    size, end : int
        Bytes of the file, and where the next record goes.
    live : int
        Messages in it that are not done with.
    streams : set of tuple
        What it has messages of.
    routes : dict
        The routes that it explains: to the page of the first explanation, or −1 when there are two.
    summaries : dict
        Of which earlier segments it says what they hold, and where.
    prefix : bytes
        What has to be written before the next record.
    """

    codec: Codec
    name: str
    size: int
    end: int = 0
    live: int = 0
    streams: set[StreamId] = field(default_factory=set[StreamId])
    routes: dict[int, int] = field(default_factory=dict[int, int])
    summaries: dict[int, int] = field(default_factory=dict[int, int])
    prefix: bytes = b""

    @property
    def generation(self) -> int:
        """Its number."""
        return self.codec.generation


@dataclass(slots=True)
class Row:
    """What a segment holds of a stream: how many messages, and how many of them are not done with."""

    segment: Segment
    first: int
    last: int
    count: int
    live: int

    @property
    def whole(self) -> bool:
        """Whether no sequence number between the first and the last is missing."""
        return self.count == self.last - self.first + 1


@dataclass(slots=True)
class Stream:
    """All of one stream: its rows by age, the sequence number up to which all is done with, and how many are not."""

    rows: list[Row] = field(default_factory=list[Row])
    mark: int = -1
    live: int = 0

    def after(self, seq: int) -> Row | None:
        """Give the first row that has anything after a sequence number."""
        place = bisect_right(self.rows, seq, key=lambda row: row.last)
        return self.rows[place] if place < len(self.rows) else None

    def between(self, low: int, high: int) -> Iterator[Row]:
        """Give the rows that may have sequence numbers above `low` and up to `high`."""
        for place in range(bisect_right(self.rows, low, key=lambda row: row.last), len(self.rows)):
            if self.rows[place].first > high:
                return
            yield self.rows[place]

    def of(self, segment: Segment) -> Row | None:
        """Give the row of a segment."""
        place = bisect_left(self.rows, segment.generation, key=lambda row: row.segment.generation)
        if place < len(self.rows) and self.rows[place].segment is segment:
            return self.rows[place]
        return None


class Index:
    """Streams and segments, and the counts of what is not done with."""

    def __init__(self) -> None:
        self.streams: dict[StreamId, Stream] = {}
        self.segments: dict[int, Segment] = {}
        self.routes: dict[int, Route] = {}
        self.live = 0

    def add(self, segment: Segment, name: StreamId, seq: int) -> None:
        """Take note of a message that was appended to a segment."""
        stream = self.streams.setdefault(name, Stream())
        row = stream.rows[-1] if stream.rows else None
        if row is None or row.segment is not segment:
            row = Row(segment, seq, seq, 0, 0)
            stream.rows.append(row)
            segment.streams.add(name)
        row.last = seq
        row.count += 1
        self.count(stream, row, row.live + 1)

    def add_extent(self, segment: Segment, extent: Extent, mark: int, live: int) -> None:
        """Take note of what a segment holds of a stream, and how many of that are not done with."""
        stream = self.streams.setdefault(extent.stream, Stream(mark=mark))
        row = Row(segment, extent.first, extent.last, extent.messages, 0)
        stream.rows.append(row)
        segment.streams.add(extent.stream)
        self.count(stream, row, live)

    def correct(self, segment: Segment, name: StreamId, places: Places) -> None:
        """Bring a row in line with what is really there."""
        stream = self.streams[name]
        row = stream.of(segment)
        if row is None:
            return
        self.count(stream, row, len(places.seqs) - bisect_right(places.seqs, stream.mark))
        if places.seqs:
            row.first, row.last, row.count = places.seqs[0], places.seqs[-1], len(places.seqs)
            return
        stream.rows = [other for other in stream.rows if other is not row]
        segment.streams.discard(name)
        if not stream.rows:
            del self.streams[name]

    def remove(self, segment: Segment) -> None:
        """Forget a segment in which all is done with."""
        for name in segment.streams:
            stream = self.streams[name]
            stream.rows = [row for row in stream.rows if row.segment is not segment]
            if not stream.rows:
                del self.streams[name]
        del self.segments[segment.generation]

    def extents(self, segment: Segment) -> list[Extent]:
        """Give what a segment holds."""
        found: list[Extent] = []
        for name in segment.streams:
            row = self.streams[name].of(segment)
            if row is not None:
                found.append(Extent(name, row.first, row.last, row.count))
        return found

    def count(self, stream: Stream, row: Row, live: int) -> None:
        """Set how many messages of a row are not done with."""
        change = live - row.live
        row.live = live
        row.segment.live += change
        stream.live += change
        self.live += change
