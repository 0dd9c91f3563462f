"""What stays of channels whose frames are kept: one pyramid each, of their phases turned back by the carrier.

It is fed by the frames that have been committed, on time or days late: a sum does not ask when its terms came.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.errors import FrameError, KernelError
from becomingone.hub.memory.beats import pace_us
from becomingone.hub.memory.packed import unpack_pyramid
from becomingone.hub.memory.protocol import Record
from becomingone.kairos.bands import Band
from becomingone.kairos.memory.intake import turned_back
from becomingone.kairos.memory.pyramid import Pyramid
from becomingone.kairos.memory.pyramid_state import PyramidState
from becomingone.wire.frame import decode_frame

EARLIEST_US: Final = 1_577_836_800_000_000
"""2020-01-01: mesh time before it is that of a clock that has not been set."""

AHEAD_US: Final = 5_000_000
"""µs by which a frame may be ahead of the last tick."""

LEAF_BEATS: Final = 16
KEEP: Final = 32
MOST_WAITING: Final = 20_000
FULL: Final = 512
"""Samples of a channel after which they are inserted."""


class ChannelKey(NamedTuple):
    """A channel in a band, over all lives of its node."""

    node: str
    band: str
    channel: str


Samples = tuple[NDArray[np.int64], NDArray[np.complex128], NDArray[np.float64]]


class ChannelTiers:
    """The channels' pyramids.

    Parameters
    ----------
    bands : sequence of Band
        The plan.
    most : int
        Channels in bands that are remembered; later ones are counted and left out.
    every_s : float
        As for `beats.pace_us`.

    Attributes
    ----------
    refused : Counter of str
        Frames that were left out, by reason: ``future``, ``before_epoch``, ``waiting``, ``too_many_channels``,
        ``unknown_band``, and those of `FrameError`.
    """

    def __init__(self, bands: Sequence[Band], *, most: int, every_s: float) -> None:
        self.refused: Counter[str] = Counter()
        self._bands = {band.name: band for band in bands}
        self._leaf_us = {band.name: LEAF_BEATS * pace_us(band, every_s) for band in bands}
        self._most = most
        self._pyramids: dict[ChannelKey, Pyramid] = {}
        self._waiting: deque[Record] = deque()
        self._pending: dict[ChannelKey, list[Samples]] = {}
        self._samples: Counter[ChannelKey] = Counter()

    def __len__(self) -> int:
        return len(self._pyramids)

    def put(self, frames: Iterable[Record]) -> None:
        """Take frames that have been committed; they are read a few at a tick."""
        if not self._most:
            return
        for frame in frames:
            if len(self._waiting) >= MOST_WAITING:
                self.refused["waiting"] += 1
            else:
                self._waiting.append(frame)

    def work(self, now_us: int, most: int) -> None:
        """Read so many frames, or insert what one channel has waiting."""
        for _ in range(min(most, len(self._waiting))):
            self._read(self._waiting.popleft(), now_us)
        for key, samples in self._samples.items():
            if samples >= FULL:
                self._insert(key)
                return

    def settle(self, now_us: int) -> None:
        """Read and insert everything."""
        self.work(now_us, len(self._waiting))
        for key in list(self._pending):
            self._insert(key)

    def pyramid(self, key: ChannelKey) -> Pyramid | None:
        """Give a channel's pyramid; to be read only."""
        return self._pyramids.get(key)

    def pieces(self) -> Iterator[tuple[str, PyramidState]]:
        """Give copies of what is to be packed, by ``node/band/channel``, one at a time."""
        for key in sorted(self._pyramids):
            self._insert(key)
            yield "/".join(key), self._pyramids[key].state()

    def restore(self, pieces: Mapping[str, str]) -> list[str]:
        """Take what was packed; give what cannot be used."""
        problems: list[str] = []
        for name, text in pieces.items():
            key = ChannelKey(*name.split("/")) if name.count("/") == 2 else None
            if key is None or key.band not in self._bands or len(self._pyramids) >= self._most:
                problems.append(f"the tier of {name} is left out: it is not of this plan, or too many")
                continue
            try:
                pyramid = unpack_pyramid(str(text))
                if pyramid.state()["leaf_us"] != self._leaf_us[key.band]:
                    raise KernelError("its blocks are of another length")
            except KernelError as error:
                problems.append(f"the tier of {name} begins anew: {error}")
            else:
                self._pyramids[key] = pyramid
        return problems

    def _read(self, record: Record, now_us: int) -> None:
        key = ChannelKey(record.stream.node, record.stream.band, record.stream.channel)
        band = self._bands.get(key.band)
        if band is None:
            self.refused["unknown_band"] += 1
            return
        try:
            frame = decode_frame(record.frame)
        except FrameError as error:
            self.refused[error.reason] += 1
            return
        if frame.last_time_us > now_us + AHEAD_US:
            self.refused["future"] += 1
        elif frame.time_us < EARLIEST_US:
            self.refused["before_epoch"] += 1
        elif key not in self._pyramids and len(self._pyramids) >= self._most:
            self.refused["too_many_channels"] += 1
        else:
            if key not in self._pyramids:
                self._pyramids[key] = Pyramid(self._leaf_us[key.band], keep=KEEP)
            self._pending.setdefault(key, []).append(
                samples_of(band, frame.time_us, frame.spacing_us, frame.phasors, frame.coherence)
            )
            self._samples[key] += len(frame.phasors)

    def _insert(self, key: ChannelKey) -> None:
        parts = self._pending.pop(key, [])
        del self._samples[key]
        if parts:
            times, phasors, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
            self._pyramids[key].insert_block(times, phasors, weights)


def samples_of(
    band: Band, time_us: int, spacing_us: float | None, phasors: NDArray[np.complex64], coherence: float
) -> Samples:
    """Give a frame's samples as the tiers take them: time, phase turned back, coherence as weight."""
    times = time_us + np.rint(np.arange(len(phasors)) * (spacing_us or 0.0)).astype(np.int64)
    still = turned_back(phasors.astype(np.complex128), times, band.frequency_hz)
    still /= np.maximum(np.abs(still), 1.0)  # float32 may lie outside the disc by 6e-8
    weight = coherence if coherence >= 1e-9 else 0.0
    return times, still, np.full(len(phasors), weight)
