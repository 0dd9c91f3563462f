"""Finding out, at the start, what a disk holds: whatever the end of the last life has left behind."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from becomingone.node.spool.contents import Extent, Summary, stream_digest, unpack_summary
from becomingone.node.spool.disk import Disk
from becomingone.node.spool.index import Index, Segment
from becomingone.node.spool.names import parse_name
from becomingone.node.spool.reader import Content, read_record, read_segment
from becomingone.node.spool.record import HEAD, Codec, Kind, page_end


@dataclass(slots=True)
class Found:
    """What was found besides what is in the index now.

    Parameters
    ----------
    free : dict
        Files that can be used again, and their sizes.
    newest : int
        The highest number of any segment so far.
    active : Segment or None
        The newest segment, where there is room in it.
    contents : dict
        What was read of segments as a whole, by number: of those whose summary nobody has written.
    damaged : int
        Places that could not be read.
    """

    free: dict[str, int] = field(default_factory=dict[str, int])
    newest: int = 0
    active: Segment | None = None
    contents: dict[int, Content] = field(default_factory=dict[int, Content])
    damaged: int = 0


def recover(disk: Disk, index: Index) -> Found:
    """Fill an empty index from a disk.

    Only the newest segments are read as a whole; of the others, those after them say what they hold.

    Raises
    ------
    OSError
        The disk cannot be read.
    """
    found = Found()
    used: dict[int, Segment] = {}
    for name, size in disk.names().items():
        parsed = parse_name(name)
        if parsed is None:
            continue
        in_use, generation = parsed
        found.newest = max(found.newest, generation)
        if in_use:
            used[generation] = Segment(Codec.of(generation), name, size, end=size)
        else:
            found.free[name] = size
    marks: dict[int, int] = {}
    summaries: dict[int, Summary] = {}
    places: dict[int, tuple[Segment, int]] = {}
    for generation in sorted(used, reverse=True):
        segment = used[generation]
        summary = _read_summary(disk, generation, places)
        if summary is not None:
            summaries[generation] = summary
            places |= {other: (segment, offset) for other, offset in summary.summaries.items()}
            continue
        content = read_segment(segment.codec, disk.read(segment.name, 0, segment.size), index.routes)
        found.contents[generation] = content
        found.damaged += content.damaged
        for stream, seq in content.marks.items():
            marks[stream] = max(seq, marks.get(stream, -1))
        places |= {other: (segment, offset) for other, offset in content.summaries.items()}
    for generation in sorted(used):
        segment = index.segments[generation] = used[generation]
        if generation in summaries:
            _add_summary(index, segment, summaries[generation].extents, marks)
        else:
            _add_content(index, segment, found.contents[generation], marks)
    if used and found.newest in found.contents:
        _go_on(index.segments[found.newest], found)
    return found


def _read_summary(disk: Disk, generation: int, places: dict[int, tuple[Segment, int]]) -> Summary | None:
    """Read what a later segment says of one; None where nothing does, or nothing that can be read."""
    if generation not in places:
        return None
    record = read_record(disk, *places[generation])
    if record is None or record.kind is not Kind.SUMMARY or record.seq != generation:
        return None
    return unpack_summary(record.content)


def _go_on(segment: Segment, found: Found) -> None:
    """Write on in the newest segment, from the next page: what may be torn is left as it is, and said to be so."""
    end = found.contents[segment.generation].end
    start = page_end(end)
    if end and start + HEAD < segment.size:
        found.active = segment
        segment.end = start
        segment.prefix = segment.codec.encode(Kind.TORN, seq=end)


def _add_summary(index: Index, segment: Segment, extents: Iterable[Extent], marks: dict[int, int]) -> None:
    for extent in extents:
        mark = marks.get(stream_digest(extent.stream), -1)
        # Where some are missing between, this is too many until they are read; then it is put right.
        live = extent.messages if mark < extent.first else max(0, extent.last - mark)
        index.add_extent(segment, extent, mark, min(live, extent.messages))


def _add_content(index: Index, segment: Segment, content: Content, marks: dict[int, int]) -> None:
    for name, places in list(content.places.items()):
        stream = index.streams.get(name)
        if stream is not None and stream.rows:  # what comes a second time was written again after a failed sync
            places.keep(bisect_right(places.seqs, stream.rows[-1].last), len(places.seqs))
        if not places.seqs:
            del content.places[name]
            continue
        mark = marks.get(stream_digest(name), -1)
        extent = Extent(name, places.seqs[0], places.seqs[-1], len(places.seqs))
        index.add_extent(segment, extent, mark, extent.messages - bisect_right(places.seqs, mark))
