"""Numbers of frames by boot, band and channel: what an acknowledgement and an announcement of kept frames carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, cast

from becomingone.errors import FrameError
from becomingone.wire.fields import UINT32, integer
from becomingone.wire.topics import NAME

MAX_STREAMS: Final = 128
"""Streams in one message; of more there are several, in any order."""


class Stream(NamedTuple):
    """What is numbered on its own: the frames of one channel in one band of one boot of the node.

    Parameters
    ----------
    boot : int
        The node's boot id, 32 bits.
    band, channel : str
        As in the topic of the frames.
    """

    boot: int
    band: str
    channel: str


def nested(numbers: Mapping[Stream, int]) -> dict[int, dict[str, dict[str, int]]]:
    """Give the numbers as they cross the wire: by boot, by band, by channel."""
    found: dict[int, dict[str, dict[str, int]]] = {}
    for stream, seq in numbers.items():
        found.setdefault(stream.boot, {}).setdefault(stream.band, {})[stream.channel] = seq
    return found


def read_streams(value: object, name: str) -> dict[Stream, int]:
    """Check what crossed the wire, and give it by stream.

    Parameters
    ----------
    value : object
        As it was decoded.
    name : str
        The field's, for the refusal.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    found: dict[Stream, int] = {}
    for boot, bands in _entries(value, name):
        if type(boot) is not int:
            raise FrameError("type", f"the keys of {name} must be boot ids")
        if not 0 <= boot <= UINT32:
            raise FrameError("range", f"a boot id must be 0..{UINT32}, not {boot}")
        for band, channels in _entries(bands, name):
            for channel, seq in _entries(channels, name):
                found[Stream(boot, _name(band), _name(channel))] = integer({1: seq}, 1, f"a {name} seq")
    if len(found) > MAX_STREAMS:
        raise FrameError("too_long", f"at most {MAX_STREAMS} streams are taken, not {len(found)}")
    return found


def _entries(value: object, name: str) -> list[tuple[object, object]]:
    if not isinstance(value, dict):
        raise FrameError("type", f"{name} must be a map of boot ids to maps of bands to maps of channels to numbers")
    entries = list(cast("dict[object, object]", value).items())
    if not entries:
        raise FrameError("range", f"a map within {name} must not be empty")
    return entries


def _name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise FrameError("type", "the names of bands and channels match the topics' rule")
    return value
