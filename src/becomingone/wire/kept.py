"""What a node still keeps: the oldest frame of each stream, topic ``node/<node>/kept``.

The hub acknowledges up to where it has everything. A frame that its node has lost, because there was no room for it,
would make it wait for ever: so the node says where it begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from becomingone.wire import cbor
from becomingone.wire.fields import UINT32, integer, required
from becomingone.wire.streams import MAX_STREAMS, Stream, nested, read_streams

__all__ = ["MAX_STREAMS", "OldestKept", "Stream", "decode_kept", "encode_kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OldestKept:
    """Where what a node keeps begins.

    Parameters
    ----------
    boot : int
        The node's present boot id, 32 bits.
    seq : int
        Number of the announcement within that boot, 64 bits.
    oldest : mapping of Stream to int
        Of 1 to `MAX_STREAMS` streams, the lowest ``seq`` that the node may still send: whatever is missing below it
        is gone. Streams that are not named are as they were.
    """

    boot: int
    seq: int
    oldest: Mapping[Stream, int]


def encode_kept(kept: OldestKept) -> bytes:
    """Encode an announcement; equal ones give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_kept` would refuse it for.
    """
    fields: dict[int, Any] = {1: kept.boot, 2: kept.seq, 3: nested(kept.oldest)}
    _read(fields)
    return cbor.encode(fields)


def decode_kept(payload: bytes) -> OldestKept:
    """Decode and check an announcement.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _read(cbor.decode(payload))


def _read(fields: Mapping[int, Any]) -> OldestKept:
    oldest = read_streams(required(fields, 3, "oldest"), "oldest")
    return OldestKept(boot=integer(fields, 1, "boot", most=UINT32), seq=integer(fields, 2, "seq"), oldest=oldest)
