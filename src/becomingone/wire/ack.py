"""The hub's acknowledgement: up to which frame it has committed what a node had to keep, topic ``ack/<node>``.

A PUBACK says that a broker has a message, in its memory perhaps. Only this says that the hub has it on its disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from becomingone.wire import cbor
from becomingone.wire.fields import UINT32, integer, required
from becomingone.wire.streams import MAX_STREAMS, Stream, nested, read_streams

__all__ = ["MAX_STREAMS", "Ack", "Stream", "decode_ack", "encode_ack"]


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
    fields: dict[int, Any] = {1: ack.boot, 2: ack.seq, 3: nested(ack.committed)}
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
    committed = read_streams(required(fields, 3, "committed"), "committed")
    return Ack(boot=integer(fields, 1, "boot", most=UINT32), seq=integer(fields, 2, "seq"), committed=committed)
