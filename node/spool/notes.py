"""What a log writes between its messages: what is done with, and what earlier segments hold."""

from __future__ import annotations

from collections.abc import Iterable

from becomingone.broker.kept_store import StreamId
from becomingone.node.spool.contents import MARK_BYTES, pack_marks, pack_summary
from becomingone.node.spool.index import Index, Segment
from becomingone.node.spool.record import HEAD, Codec, Kind


class Notes:
    """Collects what has to be written down.

    Parameters
    ----------
    index : Index
        Where the figures are.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._marks: set[StreamId] = set()
        self._sealed: list[Segment] = []

    def done(self, name: StreamId) -> None:
        """Take note that more of a stream is done with."""
        self._marks.add(name)

    def seal(self, segment: Segment) -> None:
        """Take note of a segment that nothing more is written to."""
        self._sealed.append(segment)

    def forget(self, segment: Segment) -> None:
        """Write nothing about a segment: it is gone, or only reading all of it can tell what it holds."""
        if segment in self._sealed:
            self._sealed.remove(segment)

    def checkpoint(self, codec: Codec) -> bytes:
        """Repeat the marks of all that is still on the disk, so that the segments that have them can go."""
        return self._marks_of(self._index.streams, codec)

    @property
    def checkpoint_size(self) -> int:
        """Bytes that a checkpoint takes at most, whatever is given up before it is made."""
        return HEAD + MARK_BYTES * len(self._index.streams)

    def checkpointed(self) -> None:
        """Take note that all marks stand in the present segment."""
        self._marks.clear()

    def take(self, segment: Segment, *, synced: int) -> bytes:
        """Give, as far as there is room for it in the present segment, what is to be written now.

        Parameters
        ----------
        segment : Segment
            The present one.
        synced : int
            Segments of a lower number are on the disk: what is said of them will be true after a power cut.
        """
        codec, notes = segment.codec, b""
        start = segment.end + len(segment.prefix)
        room = segment.size - start
        self._marks &= self._index.streams.keys()
        if self._marks:
            marks = self._marks_of(self._marks, codec)
            if len(marks) <= room:
                notes += marks
                self._marks.clear()
        for sealed in [other for other in self._sealed if other.generation < synced]:
            content = pack_summary(self._index.extents(sealed), sealed.summaries)
            summary = codec.encode(Kind.SUMMARY, content, seq=sealed.generation)
            if len(notes) + len(summary) <= room:
                segment.summaries[sealed.generation] = start + len(notes)
                notes += summary
                self._sealed.remove(sealed)
        return notes

    def _marks_of(self, names: Iterable[StreamId], codec: Codec) -> bytes:
        streams = self._index.streams
        # A stream that was away and has come back has none yet.
        return codec.encode(
            Kind.MARKS, pack_marks({name: streams[name].mark for name in names if streams[name].mark >= 0})
        )
