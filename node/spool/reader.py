"""Reading what a log has: where each message stands, and the messages themselves."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from becomingone.broker.kept_store import Kept, StreamId
from becomingone.node.spool.contents import Route, digest, unpack_marks, unpack_route
from becomingone.node.spool.disk import Disk
from becomingone.node.spool.index import Index, Places, Segment
from becomingone.node.spool.record import PAGE, Codec, Kind, Record, Scan

_LOADED: Final = 32
"""Segments of which it is known at once where each message stands."""


@dataclass(slots=True)
class Content:
    """All that one segment says.

    Parameters
    ----------
    places : dict
        Where the messages of each stream stand.
    marks : dict
        By the digest of a stream, up to where all is done with.
    summaries : dict
        Of which other segments it says what they hold, and where.
    end, damaged : int
        See `Scan`.
    """

    places: dict[StreamId, Places] = field(default_factory=dict[StreamId, Places])
    marks: dict[int, int] = field(default_factory=dict[int, int])
    summaries: dict[int, int] = field(default_factory=dict[int, int])
    end: int = 0
    damaged: int = 0


def read_segment(codec: Codec, data: bytes, routes: dict[int, Route]) -> Content:
    """Read a whole segment; routes that it explains are added to those that are known."""
    content = Content()
    frames: list[Record] = []
    scan = Scan(codec, data)
    for record in scan:
        if record.kind is Kind.FRAME:
            frames.append(record._replace(content=b""))
        elif record.kind is Kind.ROUTE and digest(record.content) == record.route:
            routes[record.route] = unpack_route(record.content)
        elif record.kind is Kind.MARKS:
            for stream, seq in unpack_marks(record.content):
                content.marks[stream] = max(seq, content.marks.get(stream, -1))
        elif record.kind is Kind.SUMMARY:
            content.summaries[record.seq] = record.offset
    content.end, content.damaged = scan.end, scan.damaged
    for frame in frames:
        route = routes.get(frame.route)
        if route is None:
            content.damaged += 1
            continue
        places = content.places.setdefault(route.stream, Places())
        if not places.seqs or frame.seq > places.seqs[-1]:  # else it is there twice, after a failed write
            places.add(frame.seq, frame.offset)
    return content


def read_record(disk: Disk, segment: Segment, offset: int) -> Record | None:
    """Read one record; None where there is no whole one.

    Raises
    ------
    OSError
        The disk cannot be read.
    """
    data = disk.read(segment.name, offset, PAGE)
    size = segment.codec.size(data)
    if size > len(data):
        data = disk.read(segment.name, offset, min(size, segment.size - offset))
    return segment.codec.decode(data)


class Reader:
    """Reads messages.

    Parameters
    ----------
    disk : Disk
        The files.
    index : Index
        What is known by heart; corrected when something turns out to be damaged.

    Attributes
    ----------
    damaged : int
        Places that could not be read.
    own_from : tuple of int
        Segment and offset from which on messages are of this life, so that their times mean something.
    """

    def __init__(self, disk: Disk, index: Index) -> None:
        self.damaged = 0
        self.own_from: tuple[int, int] = (0, 0)
        self._disk = disk
        self._index = index
        self._loaded: OrderedDict[int, dict[StreamId, Places]] = OrderedDict()

    def keep(self, segment: Segment, places: dict[StreamId, Places]) -> dict[StreamId, Places]:
        """Remember where the messages of a segment stand, instead of those of the one that is asked least."""
        if len(self._loaded) >= _LOADED:
            self._loaded.popitem(last=False)
        self._loaded[segment.generation] = places
        return places

    def forget(self, segment: Segment) -> None:
        """Forget a segment."""
        self._loaded.pop(segment.generation, None)

    def places(self, segment: Segment) -> dict[StreamId, Places]:
        """Tell where the messages of a segment stand.

        Raises
        ------
        OSError
            The disk cannot be read.
        """
        found = self._loaded.get(segment.generation)
        if found is not None:
            self._loaded.move_to_end(segment.generation)
            return found
        data = self._disk.read(segment.name, 0, segment.size)
        content = read_segment(segment.codec, data, self._index.routes)
        missing = [
            self._reconcile(segment, name, content.places.setdefault(name, Places())) for name in list(segment.streams)
        ]
        self.damaged += max(content.damaged, any(missing))  # nothing stands out at the end of a segment
        return self.keep(segment, {name: content.places[name] for name in segment.streams})

    def _reconcile(self, segment: Segment, name: StreamId, places: Places) -> bool:
        """Bring what is known by heart in line with what can be read; tell whether that is less."""
        stream = self._index.streams[name]
        row = stream.of(segment)
        if row is None:
            return False
        before = row.count
        places.keep(bisect_right(places.seqs, row.first - 1), bisect_right(places.seqs, row.last))
        self._index.correct(segment, name, places)
        return len(places.seqs) < before

    def next(self, name: StreamId, seq: int) -> Kept | None:
        """Give the first message of a stream after `seq` that is not done with.

        Raises
        ------
        OSError
            The disk cannot be read.
        """
        while (stream := self._index.streams.get(name)) is not None:
            row = stream.after(max(seq, stream.mark))
            if row is None:
                return None
            places = self.places(row.segment).get(name)
            if places is None:
                continue
            place = bisect_right(places.seqs, max(seq, stream.mark))
            if place == len(places.seqs):
                continue
            entry = self.read(row.segment, name, places, place)
            if entry is not None:
                return entry
            self.damaged += 1
            del places.seqs[place], places.offsets[place]
            self._index.correct(row.segment, name, places)
        return None

    def read(self, segment: Segment, name: StreamId, places: Places, place: int) -> Kept | None:
        """Read one message; None where it is damaged.

        Raises
        ------
        OSError
            The disk cannot be read.
        """
        seq, offset = places.seqs[place], places.offsets[place]
        record = read_record(self._disk, segment, offset)
        route = None if record is None or record.seq != seq else self._index.routes.get(record.route)
        if record is None or route is None or route.stream != name:
            return None
        own = (segment.generation, offset) >= self.own_from
        return Kept(name, seq, route.topic, record.content, record.kept_ns if own else None)
