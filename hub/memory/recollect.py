"""Associative recall from the memory: which past moments were most like this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from becomingone.errors import KernelError
from becomingone.hub.memory.patterns import LEAST_CHANNELS, MOST_CHANNELS, NAMED_US
from becomingone.hub.memory.protocol import Entry, Reading
from becomingone.kairos.memory.recall import Recollections, recall

MOST_PATTERNS: Final = 400_000
"""Patterns that are searched at once, the newest: 46 days of one each 10 s; 100 MB for 30 channels."""

MOST_NAMES: Final = 1024
"""Channels that a search tells apart; patterns in which others are named are searched without them."""


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """Patterns of one band.

    Parameters
    ----------
    time_us : ndarray of int, shape (m,)
        Ascending.
    moments : ndarray of complex64, shape (m, c)
        Phases turned back by the carrier, with the coherence as modulus; 0 where a channel was absent.
    channels : tuple of str, length c
        ``node/channel``.
    unnamed : int
        Patterns that were left out, because the entry with their channels' names has gone.
    """

    time_us: NDArray[np.int64]
    moments: NDArray[np.complex64]
    channels: tuple[str, ...]
    unnamed: int


@dataclass(frozen=True, slots=True, eq=False)
class Recalled:
    """What was found.

    Parameters
    ----------
    band : str
        The band.
    time_us : int
        When the pattern that was looked for was written.
    channels : int
        Channels in it.
    found : Recollections
        The best first.
    """

    band: str
    time_us: int
    channels: int
    found: Recollections

    def as_json(self) -> dict[str, Any]:
        """Give the fields."""
        found = self.found
        rows = zip(
            found.time_us.tolist(),
            found.similarity.tolist(),
            found.rotation.tolist(),
            found.overlap.tolist(),
            found.p.tolist(),
            found.p_any.tolist(),
            strict=True,
        )
        return {
            "band": self.band,
            "time_us": self.time_us,
            "channels": self.channels,
            "searched": found.searched,
            "typical": round(found.typical, 4) if found.searched else None,
            "moments": [
                {
                    "time_us": time_us,
                    "score": round(similarity, 4),
                    "rotation": round(rotation, 4),
                    "overlap": overlap,
                    "p": float(f"{p:.3g}"),
                    "p_any": float(f"{p_any:.3g}"),
                }
                for time_us, similarity, rotation, overlap, p, p_any in rows
            ],
        }


def patterns_of(entries: Iterable[Entry], band: str, *, most: int = MOST_PATTERNS) -> Patterns:
    """Read a band's patterns; what is none of ours is passed over."""
    layouts: dict[str, NDArray[np.intp]] = {}
    names: dict[str, int] = {}
    rows: list[tuple[int, NDArray[np.intp], NDArray[np.complex64]]] = []
    unnamed = 0
    for time_us, body in _bodies(entries, band):
        layout = str(body.get("layout"))
        if "channels" in body and layout not in layouts:
            for name in body["channels"][:MOST_CHANNELS]:
                if len(names) < MOST_NAMES:
                    names.setdefault(str(name), len(names))
            layouts[layout] = np.array(
                [names.get(str(name), -1) for name in body["channels"][:MOST_CHANNELS]], dtype=np.intp
            )
        columns = layouts.get(layout)
        pattern = _pattern(body)
        if columns is None or pattern is None or len(pattern) != len(columns):
            unnamed += 1
            continue
        if rows and time_us < rows[-1][0]:
            continue
        rows.append((time_us, columns[columns >= 0], pattern[columns >= 0]))
        if len(rows) > most + most // 8:
            del rows[: len(rows) - most]
    rows = rows[-most:]
    moments = np.zeros((len(rows), len(names)), dtype=np.complex64)
    for number, (_, columns, pattern) in enumerate(rows):
        moments[number, columns] = pattern
    return Patterns(np.array([row[0] for row in rows], dtype=np.int64), moments, tuple(names), unnamed)


def recollect(
    past: Reading,
    band: str,
    time_us: int,
    *,
    top: int = 5,
    apart_us: int = 60_000_000,
    late_us: int = 60_000_000,
    since_us: int = 0,
    kind: Literal["pattern", "absolute"] = "pattern",
    least_overlap: int = LEAST_CHANNELS,
) -> Recalled:
    """Find the moments before a time whose patterns are most like its own.

    Parameters
    ----------
    past : Reading
        The memory.
    band : str
        The band.
    time_us : int
        The moment, µs: its newest pattern at or before it is what is looked for.
    top : int
        How many moments, at most.
    apart_us : int
        Moments closer than this are one occasion, and so are those close to `time_us`.
    late_us : int
        By how much the pattern may be older than the moment.
    since_us : int
        Only moments from then on.
    kind : {"pattern", "absolute"}
        Whether a common rotation matters; see `becomingone.kairos.memory.recall`.
    least_overlap : int
        Channels that both must have.

    Raises
    ------
    KernelError
        There is no pattern at that time, or a value is out of its range.
    """
    known = patterns_of(past.entries("pattern", max(0, since_us - NAMED_US), time_us + 1), band)
    if not len(known.time_us) or known.time_us[-1] < time_us - late_us:
        last = (
            f"the last one before it is of {known.time_us[-1]} µs" if len(known.time_us) else "there is none before it"
        )
        raise KernelError(f"band {band} has no pattern within {late_us / 1e6:g} s before that time: {last}")
    present = known.moments[-1].astype(np.complex128)
    first = int(np.searchsorted(known.time_us, since_us))
    found = recall(
        present,
        known.moments[first:],
        known.time_us[first:],
        count=top,
        kind=kind,
        least_overlap=least_overlap,
        apart_us=apart_us,
        before_us=int(known.time_us[-1]) - apart_us,
    )
    return Recalled(band, int(known.time_us[-1]), int(np.count_nonzero(present)), found)


def _bodies(entries: Iterable[Entry], band: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for entry in entries:
        if entry.body.get("band") == band:
            yield entry.time_us, entry.body


def _pattern(body: Mapping[str, Any]) -> NDArray[np.complex64] | None:
    """Give a pattern; None where it is none."""
    try:
        here = np.array([phase is not None for phase in body["phase"]])
        degrees = np.array([phase or 0 for phase in body["phase"]], dtype=np.float64)
        percent = np.array(body["weight"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return None
    if (
        degrees.shape != percent.shape
        or degrees.ndim != 1
        or not (np.isfinite(degrees).all() and np.isfinite(percent).all())
    ):
        return None
    # 0 % of coherence is a phase all the same: half a percent of one
    weight = np.where(here, np.clip(percent, 0.5, 100.0) / 100.0, 0.0)
    return (weight * np.exp(1j * np.radians(degrees))).astype(np.complex64)
