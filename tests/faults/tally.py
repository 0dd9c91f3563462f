"""What nodes made, and what has become of it, compared frame by frame."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from becomingone.hub.memory.protocol import StreamKey
from becomingone.wire.frame import decode_frame
from becomingone.wire.phase import Flags

Made = Mapping[StreamKey, Sequence[bytes]]
"""The digests of all frames of a channel in one life, by their numbers."""


def digest(payload: bytes) -> bytes:
    """Sum up what does not change on the way.

    A frame is sealed when it is sent, and flagged when that is late; its time goes with mesh time, where that has been
    stepped at the node's start.
    """
    frame = decode_frame(payload)
    same = frame._replace(flags=frame.flags & ~Flags.HISTORICAL, time_us=0)
    return hashlib.blake2b(repr(same).encode(), digest_size=8).digest()


@dataclass
class Tally:
    """Counts of frames."""

    made: int = 0
    committed: int = 0
    waiting: int = 0
    lost: int = 0
    twice: int = 0
    altered: int = 0
    """Not what their node made, or never made by any."""
    disordered: int = 0

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def tally(
    made: Made,
    committed: Iterable[tuple[StreamKey, int, bytes]],
    waiting: Iterable[tuple[StreamKey, int, bytes]],
    *,
    unsure: Mapping[StreamKey, int] | None = None,
) -> Tally:
    """Compare.

    Parameters
    ----------
    made : mapping
        What nodes made.
    committed : iterable
        What the hub has, in the order of its commits.
    waiting : iterable
        What nodes still keep.
    unsure : mapping, optional
        Frames, the last ones of a life, of which nobody was told that they are kept: they may be there or not.
    """
    found = Tally(made=sum(map(len, made.values())))
    there: dict[StreamKey, list[int]] = defaultdict(list)
    kept: dict[StreamKey, set[int]] = defaultdict(set)
    for stream, seq, frame in committed:
        there[stream].append(seq)
        found.altered += not _is(made, stream, seq, frame)
    for stream, seq, frame in waiting:
        kept[stream].add(seq)
        found.altered += not _is(made, stream, seq, frame)
    for seqs in there.values():
        found.committed += len(seqs)
        found.twice += len(seqs) - len(set(seqs))
        found.disordered += sum(later <= earlier for earlier, later in pairwise(seqs))
    for stream, digests in made.items():
        sure = len(digests) - (unsure or {}).get(stream, 0)
        safe = kept[stream].union(there[stream])
        found.lost += len(set(range(sure)) - safe)
        found.waiting += len(kept[stream].difference(there[stream]))
    return found


def _is(made: Made, stream: StreamKey, seq: int, frame: bytes) -> bool:
    digests = made.get(stream, ())
    return 0 <= seq < len(digests) and digests[seq] == digest(frame)
