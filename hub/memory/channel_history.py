"""How steadily one channel kept its rhythm: from its frames where they remain, exactly, and from its tier where not."""

from __future__ import annotations

import numpy as np

from becomingone.errors import FrameError, KernelError
from becomingone.hub.memory.channel_tiers import ChannelKey, samples_of
from becomingone.hub.memory.packed import unpack_pyramid
from becomingone.hub.memory.protocol import Reading
from becomingone.hub.memory.shapes import as_object
from becomingone.kairos.bands import Band
from becomingone.kairos.memory.pyramid import Pyramid
from becomingone.kairos.memory.reconstruct import Reconstruction
from becomingone.wire.frame import decode_frame

LONGEST_FRAMES_US = 3_600_000_000
"""µs of the longest window that is put together from frames."""

LONGEST_FRAME_US = 600_000_000
"""µs by which the first sample of a frame may precede those in the window."""


def reconstruct_channel(past: Reading, band: Band, key: ChannelKey, time_us: int, window_us: int) -> Reconstruction:
    """Give the mean of a channel's phases over (time − window, time], turned back by the carrier, weighted by C.

    Parameters
    ----------
    past : Reading
        The memory.
    band : Band
        The channel's.
    key : ChannelKey
        Which channel.
    time_us, window_us : int
        Mesh time and length, µs; the window is at least 1.

    Returns
    -------
    Reconstruction
        Its modulus says how steadily the rhythm was kept; the bound is 0 where the frames remain. Where nothing is
        known it is not valid.

    Raises
    ------
    KernelError
        The time or the window is out of its range, or the channel's tier cannot be read.
    """
    names = {"node": key.node, "band": key.band, "channel": key.channel}
    start = time_us - window_us + 1
    oldest = next(past.frames(0, max(1, start), **names), None)
    if oldest is not None and window_us <= LONGEST_FRAMES_US:
        exact = Pyramid(1, keep=8)
        for record in past.frames(max(0, start - LONGEST_FRAME_US), time_us + 1, **names):
            try:
                frame = decode_frame(record.frame)
            except FrameError:  # what nobody can read says nothing, to the tiers neither
                continue
            times, still, weights = samples_of(band, frame.time_us, frame.spacing_us, frame.phasors, frame.coherence)
            inside = (times >= start) & (times <= time_us)
            # all at one instant: no more is asked than their mean, and it is exact
            at_once = np.full(int(inside.sum()), time_us, dtype=np.int64)
            exact.insert_block(at_once, still[inside], weights[inside])
        return exact.reconstruct_coherence(time_us, 1)
    entry = past.last("tier")
    piece = as_object(entry.body.get("channels")).get("/".join(key)) if entry is not None else None
    if piece is None:
        return Pyramid(1, keep=8).reconstruct_coherence(time_us, window_us)
    return unpack_pyramid(str(piece)).reconstruct_coherence(time_us, window_us)


def channel_key(text: str) -> ChannelKey:
    """Read ``node/band/channel``.

    Raises
    ------
    KernelError
        It is none.
    """
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):
        raise KernelError(f"{text!r}: must be node/band/channel")
    return ChannelKey(*parts)
