"""What a memory can do, whichever database it lives in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

FRAME: Final = "frame"
"""The kind under which kept frames are counted and chained."""

CHECKPOINT: Final = "checkpoint"
"""The kind of the entries that a memory writes by itself."""

LIVES: Final = 16
"""Lives of a node whose marks are kept; what still comes of an earlier one, its node says where it begins."""

_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class StreamKey(NamedTuple):
    """A channel in a band, in one life of its node."""

    node: str
    band: str
    channel: str
    boot: int


class Record(NamedTuple):
    """One kept frame.

    Parameters
    ----------
    stream : StreamKey
        Whose it is.
    seq, time_us : int
        As in the frame.
    frame : bytes
        The frame as it came, sealed or not.
    """

    stream: StreamKey
    seq: int
    time_us: int
    frame: bytes


class Entry(NamedTuple):
    """Something that was remembered.

    Parameters
    ----------
    number : int
        Its place among all of its kind, from 1; a number is never used again.
    kind : str
        ``event``, ``mesh``, ``witness``, ``signature``, ``pattern``, ``tier``, ``checkpoint`` or another.
    time_us : int
        Mesh time that it is about, µs.
    body : dict
        What it says.
    """

    number: int
    kind: str
    time_us: int
    body: dict[str, Any]


Committed = Callable[[Mapping[StreamKey, int] | None], None]
"""Called in the scheduler's turn once a batch is on stable storage, with up to where each stream is; with None when it
is not, and nothing of the batch has been kept."""

Tell = Callable[[str, dict[str, Any]], object]
"""Tells of something that has happened: a kind, and what there is to say."""


class FrameLog(Protocol):
    """Where kept frames are committed."""

    def marks(self) -> Mapping[StreamKey, int]:
        """Give up to where each stream was committed when this was opened."""
        ...

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        """Commit a batch, and the marks that it leads to; returns at once."""
        ...

    def close(self) -> None:
        """Finish what is under way."""
        ...


class Reading(Protocol):
    """Gives what a memory holds; ranges are [start, end) in µs of mesh time, in the order of time."""

    def entries(self, kind: str, start_us: int, end_us: int, *, limit: int | None = None) -> Iterator[Entry]:
        """Give the entries of a kind; with a limit, the first so many."""
        ...

    def frames(
        self,
        start_us: int,
        end_us: int,
        *,
        node: str | None = None,
        band: str | None = None,
        channel: str | None = None,
    ) -> Iterator[Record]:
        """Give kept frames by the time of their first sample."""
        ...

    def last(self, kind: str) -> Entry | None:
        """Give the entry of a kind that was taken last."""
        ...

    def summary(self) -> dict[str, Any]:
        """Give, by kind, how many records there are, and from when to when."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Memory(FrameLog, Protocol):
    """Remembers frames and entries, for good."""

    def append(self, kind: str, time_us: int, body: Mapping[str, Any]) -> bool:
        """Take an entry, which is committed with the next batch; returns at once.

        Parameters
        ----------
        kind : str
            Lower-case letters, digits and _; neither ``frame`` nor ``checkpoint``.
        time_us : int
            Mesh time that it is about, µs.
        body : Mapping
            What JSON can hold.

        Returns
        -------
        bool
            False where too much waits already: it is dropped, and counted.

        Raises
        ------
        ValueError
            The kind is none, or the body is nothing that JSON can hold (NaN and infinities are not).
        """
        ...

    def reader(self) -> Reading:
        """Open what has been committed so far, and what will be, for reading."""
        ...

    def figures(self) -> dict[str, Any]:
        """Give the counters by name, for the snapshot."""
        ...

    def watch(self, tell: Tell) -> None:
        """Have trouble and its end told as ``memory``, in the scheduler's turn; what has happened before, too."""
        ...


def checked_kind(kind: str) -> str:
    """Give the kind of an entry that may be appended.

    Raises
    ------
    ValueError
        It is none.
    """
    if not _KIND.fullmatch(kind) or kind in (FRAME, CHECKPOINT):
        msg = f"a kind of entry matches {_KIND.pattern} and is not {FRAME} or {CHECKPOINT}, not {kind!r}"
        raise ValueError(msg)
    return kind
