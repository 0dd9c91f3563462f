"""What is exported: frames, figures and events of a stretch of the past, read as a stream."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from becomingone.errors import FrameError
from becomingone.hub.memory.protocol import Reading, Record
from becomingone.hub.memory.shapes import as_object
from becomingone.kairos.bands import Band
from becomingone.wire.frame import decode_frame
from becomingone.wire.phase import PhaseFrame

What = Literal["frames", "figures", "events"]

FIGURES: Final = {
    "channels": "1",
    "nodes": "1",
    "weight": "1",
    "coherence": "0..1",
    "n_eff": "1",
    "p": "0..1",
    "order": "0..1",
    "order_p": "0..1",
    "locking": "0..1",
    "phase": "rad",
    "omega": "rad/s",
    "ceiling": "0..1",
    "collapsed": "0/1",
}
"""The figures of a band and their units; one that was not defined is empty, NaN in XDF."""

LOOKS: Final = 1024
"""Records from one call of `Progress` to the next."""

Progress = Callable[[int, int], None]
"""Told how many samples have been written, and to which time in µs."""


class Where(NamedTuple):
    """What is exported of which memory.

    Parameters
    ----------
    past : Reading
        The memory.
    start_us, end_us : int
        [start, end), mesh time in µs; frames by their first sample.
    bands : mapping of str to Band
        The plan, for the description of streams; a band that it lacks is described without its figures.
    cell : str
        The cell's name; empty where it is not known.
    band, node : str or None
        Only this one.
    """

    past: Reading
    start_us: int
    end_us: int
    bands: Mapping[str, Band]
    cell: str = ""
    band: str | None = None
    node: str | None = None


@dataclass(slots=True)
class Exported:
    """What has been written.

    Parameters
    ----------
    samples, figures, events : int
        How much of each.
    unreadable : Counter of str
        Frames that could not be read, by reason.
    """

    samples: int = 0
    figures: int = 0
    events: int = 0
    unreadable: Counter[str] = field(default_factory=Counter[str])


def frames(where: Where, done: Exported, progress: Progress) -> Iterator[tuple[Record, PhaseFrame]]:
    """Give frames that can be read."""
    records = where.past.frames(where.start_us, where.end_us, node=where.node, band=where.band)
    for number, record in enumerate(records):
        if number % LOOKS == 0:
            progress(done.samples + done.figures + done.events, record.time_us)
        try:
            frame = decode_frame(record.frame)
        except FrameError as error:
            done.unreadable[error.reason] += 1
        else:
            yield record, frame


def figures(where: Where, done: Exported, progress: Progress) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Give figures with their time and band."""
    for number, entry in enumerate(where.past.entries("mesh", where.start_us, where.end_us)):
        if number % LOOKS == 0:
            progress(done.samples + done.figures + done.events, entry.time_us)
        for band, body in sorted(as_object(entry.body.get("bands")).items()):
            if where.band in (None, band):
                done.figures += 1
                yield int(body.get("time_us", entry.time_us)), band, body


def events(where: Where, done: Exported, progress: Progress) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give events with their time."""
    for number, entry in enumerate(where.past.entries("event", where.start_us, where.end_us)):
        if number % LOOKS == 0:
            progress(done.samples + done.figures + done.events, entry.time_us)
        if where.band in (None, entry.body.get("band")) and where.node in (None, entry.body.get("node")):
            done.events += 1
            yield entry.time_us, entry.body


def as_text(body: Mapping[str, Any]) -> str:
    """Give JSON on one line."""
    return json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def iso(time_us: int) -> str:
    """Give a time as ISO 8601 in UTC, to the µs.

    Raises
    ------
    OverflowError, ValueError
        It is beyond the calendar's end.
    """
    seconds, rest = divmod(time_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
