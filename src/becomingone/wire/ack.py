"""The hub's acknowledgement: up to which frame it has committed what a node had to keep, topic ``ack/<node>``.

A PUBACK says that a broker has a message, in its memory perhaps. Only this says that the hub has it on its disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.fields import UINT32, integer, required
from becomingone.wire.topics import NAME

MAX_STREAMS: Final = 128
"""Streams in one acknowledgement; of more there are several, in any order."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What of one node is committed.

    Parameters
    ----------
    boot : int
        The hub's boot id, 32 bits.
    seq : int
        Number of the acknowledgement within that boot, 64 bits.
    committed : mapping of Stream to int
        Of 1 to `MAX_STREAMS` streams, the highest ``seq`` up to which every kept frame is committed. A node may forget
        those. It never goes back, so that an old acknowledgement does no harm.
    """

    boot: int
    seq: int
    committed: Mapping[Stream, int]


def encode_ack(ack: Ack) -> bytes:
    """Encode an acknowledgement; equal ones give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_ack` would refuse it for.
    """
    nested: dict[int, dict[str, dict[str, int]]] = {}
    for stream, seq in ack.committed.items():
        nested.setdefault(stream.boot, {}).setdefault(stream.band, {})[stream.channel] = seq
    fields: dict[int, Any] = {1: ack.boot, 2: ack.seq, 3: nested}
    _read(fields)
    return cbor.encode(fields)


def decode_ack(payload: bytes) -> Ack:
    """Decode and check an acknowledgement.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _read(cbor.decode(payload))


def _read(fields: Mapping[int, Any]) -> Ack:
    committed: dict[Stream, int] = {}
    for boot, bands in _entries(required(fields, 3, "committed")):
        if type(boot) is not int:
            raise FrameError("type", "the keys of committed must be boot ids")
        if not 0 <= boot <= UINT32:
            raise FrameError("range", f"a boot id must be 0..{UINT32}, not {boot}")
        for band, channels in _entries(bands):
            for channel, seq in _entries(channels):
                committed[Stream(boot, _name(band), _name(channel))] = integer({1: seq}, 1, "a committed seq")
    if len(committed) > MAX_STREAMS:
        raise FrameError("too_long", f"at most {MAX_STREAMS} streams are taken, not {len(committed)}")
    return Ack(boot=integer(fields, 1, "boot", most=UINT32), seq=integer(fields, 2, "seq"), committed=committed)


def _entries(value: object) -> list[tuple[object, object]]:
    if not isinstance(value, dict):
        raise FrameError("type", "committed must be a map of boot ids to maps of bands to maps of channels to numbers")
    entries = list(cast("dict[object, object]", value).items())
    if not entries:
        raise FrameError("range", "a map within committed must not be empty")
    return entries


def _name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise FrameError("type", "the names of bands and channels match the topics' rule")
    return value
