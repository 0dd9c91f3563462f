"""The log of records on the disk: appended in segments, read back in order, its oldest segment given up when full."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from becomingone.broker.kept_store import Gone, Kept, StreamId
from becomingone.node.spool.contents import Route, digest, pack_route
from becomingone.node.spool.disk import Disk
from becomingone.node.spool.files import Files
from becomingone.node.spool.index import Index, Places, Row, Segment
from becomingone.node.spool.names import free_name, segment_name
from becomingone.node.spool.notes import Notes
from becomingone.node.spool.reader import Reader
from becomingone.node.spool.record import HEAD, PAGE, Codec, Kind, page_end
from becomingone.node.spool.recovery import recover

Position = tuple[int, int]
"""The number of a segment, and an offset in it."""

SEGMENT_BYTES: Final = (1 << 17, 1 << 20)
"""The smallest and the largest segment; between them, a 128th of all room."""


class Log:
    """A log on a disk. Whatever a method raises, what it knows stays true.

    Parameters
    ----------
    disk : Disk
        Its files.
    max_bytes : int
        Room on the disk, bytes; the newest message is held whatever its size.

    Raises
    ------
    OSError
        The disk cannot be read.
    """

    def __init__(self, disk: Disk, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._index = Index()
        self._reader = Reader(disk, self._index)
        self._gone: list[Gone] = []
        self._notes = Notes(self._index)
        found = recover(disk, self._index)
        self._reader.damaged = found.damaged
        self._files = Files(disk, found.free)
        self._active = found.active
        self._newest = found.newest
        for generation, content in sorted(found.contents.items()):
            # Whether the last life came to put it on the disk is not known.
            segment = self._index.segments[generation]
            segment.summaries |= content.summaries
            self._reader.keep(segment, content.places)
            self._files.touch(segment.name)
            if segment is not self._active:
                self._notes.seal(segment)
        self._synced: Position = (min(found.contents, default=self._newest + 1), 0)
        self._begun = self._position()
        self._reader.own_from = self._begun
        self._release_done()

    def __len__(self) -> int:
        """Count the messages that are not done with."""
        return self._index.live

    @property
    def taken(self) -> int:
        """Bytes of the segments that hold something that is not done with."""
        return sum(segment.end for segment in self._index.segments.values() if segment.live)

    @property
    def damaged(self) -> int:
        """Places that could not be read."""
        return self._reader.damaged

    def streams(self) -> list[StreamId]:
        """Give the streams that have messages."""
        return [name for name, stream in self._index.streams.items() if stream.live]

    # -- writing -------------------------------------------------------------------------------------------------------

    def append(self, entry: Kept) -> None:
        """Hand a message to the operating system.

        Raises
        ------
        OSError
            It could not be, and is not kept.
        """
        route = Route(entry.stream, entry.topic)
        content = pack_route(route)
        number = digest(content)
        size = 2 * HEAD + len(content) + len(entry.payload)
        segment = self._active
        if segment is None or segment.end + len(segment.prefix) + size > segment.size:
            segment = self._rotate(size)
        codec = segment.codec
        head = segment.prefix
        page = segment.end // PAGE
        explained = segment.routes.get(number)
        explains = explained is None or explained not in (-1, page)
        if explains:
            head += codec.encode(Kind.ROUTE, content, route=number)
        record = codec.encode(Kind.FRAME, entry.payload, route=number, seq=entry.seq, kept_ns=entry.kept_ns)
        places = self._reader.places(segment)
        self._write(segment, head + record)
        if explains:
            segment.routes[number] = page if explained is None else -1
            self._index.routes[number] = route
        self._index.add(segment, entry.stream, entry.seq)
        places.setdefault(entry.stream, Places()).add(entry.seq, segment.end - len(record))

    def take_gone(self) -> list[Gone]:
        """Give what had to make room since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _write(self, segment: Segment, data: bytes) -> None:
        self._files.write(segment.name, segment.end, data)
        segment.prefix = b""
        segment.end += len(data)

    def _rotate(self, size: int) -> Segment:
        """Begin a new segment that has room for a record of that size."""
        sealed, self._active = self._active, None
        if sealed is not None:
            self._notes.seal(sealed)
            self._release_done()
        codec = Codec.of(self._newest + 1)
        name = segment_name(codec.generation)
        least, most = SEGMENT_BYTES
        usual = min(max(self.max_bytes // 128, least), most)
        file_size = page_end(max(usual, self._notes.checkpoint_size + size))
        while not self._files.take(name, file_size, self._room(file_size)):
            self._give_up(min(self._index.segments.values(), key=lambda segment: segment.generation))
        self._newest = codec.generation
        self._active = segment = Segment(codec, name, file_size, prefix=self._notes.checkpoint(codec))
        self._index.segments[codec.generation] = segment
        self._reader.keep(segment, {})
        self._notes.checkpointed()
        return segment

    def _room(self, size: int) -> int:
        """Tell how many bytes are left; for a segment that finds nothing else on the disk, always enough."""
        used = sum(segment.size for segment in self._index.segments.values())
        return self.max_bytes - used if used else max(self.max_bytes, size)

    def _give_up(self, segment: Segment) -> None:
        """Forget what has waited longest, to make room."""
        for extent in self._index.extents(segment):
            count = self._forget(extent.stream, extent.last)
            if count:
                self._gone.append(Gone(extent.stream, extent.last, count))
        self._release(segment)

    def _release_done(self) -> None:
        for segment in [s for s in self._index.segments.values() if not s.live and s is not self._active]:
            self._release(segment)

    def _release(self, segment: Segment) -> None:
        """Keep the file of a segment in which all is done with for another use."""
        self._index.remove(segment)
        self._reader.forget(segment)
        self._notes.forget(segment)
        self._files.give_back(segment.name, segment.size, free_name(segment.generation))

    # -- batches -------------------------------------------------------------------------------------------------------

    def end_batch(self, *, last: bool = False) -> tuple[Callable[[], None], Position] | None:
        """End what was written since the last call as a batch, perhaps the last of all; None where there is nothing.

        Returns
        -------
        tuple
            A call that puts it on the disk, good in any thread, and what `synced` is to be told afterwards.

        Raises
        ------
        OSError
            The disk cannot be written.
        """
        segment = self._active
        if segment is not None:
            notes = self._notes.take(segment, synced=self._synced[0])
            if notes:
                self._write(segment, segment.prefix + notes)
            begun = self._begun[1] if self._begun[0] == segment.generation else 0
            if segment.end - begun >= PAGE // 2:
                # What has been synced is not written again with the rest of its page, which a power cut could tear.
                if page_end(segment.end) - segment.end >= HEAD:
                    self._write(segment, segment.codec.encode(Kind.GAP))
                segment.end = page_end(segment.end)
        sync = self._files.syncing(last=last)
        if sync is None:
            return None
        self._begun = self._position()
        return sync, self._begun

    def synced(self, position: Position) -> None:
        """Take note that everything before that position is on the disk."""
        self._synced = max(self._synced, position)

    def withdraw(self) -> list[Kept]:
        """Give back, and forget, every message that may not be on the disk although it was written; oldest first.

        Nothing more is written to the segments that they stood in.
        """
        found: list[tuple[Position, Kept]] = []
        for segment in [s for s in self._index.segments.values() if s.generation >= self._synced[0]]:
            start = self._synced[1] if segment.generation == self._synced[0] else 0
            places = self._reader.places(segment)
            for name in list(segment.streams):
                found += self._withdraw(segment, name, places[name], start)
            self._notes.forget(segment)
        self._active = None
        self._files.forget()
        self._synced = self._begun = self._position()
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]

    def _withdraw(self, segment: Segment, name: StreamId, places: Places, start: int) -> list[tuple[Position, Kept]]:
        mark = self._index.streams[name].mark
        found: list[tuple[Position, Kept]] = []
        first = len(places.offsets)
        while first and places.offsets[first - 1] >= start:
            first -= 1
            if places.seqs[first] > mark:
                entry = self._reader.read(segment, name, places, first)
                if entry is None:
                    self._reader.damaged += 1
                else:
                    found.append(((segment.generation, places.offsets[first]), entry))
        places.keep(0, first)
        self._index.correct(segment, name, places)
        return found

    def _position(self) -> Position:
        return (self._newest + 1, 0) if self._active is None else (self._newest, self._active.end)

    # -- reading -------------------------------------------------------------------------------------------------------

    def next(self, name: StreamId, seq: int) -> Kept | None:
        """Give the first message of a stream after `seq` that is not done with.

        Raises
        ------
        OSError
            The disk cannot be read.
        """
        return self._reader.next(name, seq)

    def forget(self, name: StreamId, seq: int) -> None:
        """Be done with the messages of a stream up to and with `seq`.

        Raises
        ------
        OSError
            The disk cannot be read or written.
        """
        self._forget(name, seq)
        self._release_done()

    def _forget(self, name: StreamId, seq: int) -> int:
        """Move a stream's mark; give how many messages that does away with."""
        stream = self._index.streams.get(name)
        seq = seq if stream is None else min(seq, stream.rows[-1].last)
        if stream is None or seq <= stream.mark:
            return 0
        lefts = [(row, self._left(row, name, seq)) for row in list(stream.between(stream.mark, seq))]
        if self._index.streams.get(name) is not stream:  # what was left of it has turned out to be damaged
            return 0
        before = stream.live
        for row, left in lefts:
            self._index.count(stream, row, min(left, row.live))
        stream.mark = seq
        self._notes.done(name)
        return before - stream.live

    def _left(self, row: Row, name: StreamId, seq: int) -> int:
        """Count a row's messages after a sequence number."""
        if seq >= row.last:
            return 0
        if row.whole:
            return row.last - seq
        places = self._reader.places(row.segment).get(name)
        return 0 if places is None else len(places.seqs) - bisect_right(places.seqs, seq)
