"""The sync frame: the mesh's field in one band, which the nodes' control oscillators follow, topic ``sync/<band>``.

It goes to all nodes, so it bears no shared key's MAC but, in a provisioned cell, the hub's signature as its entry 23
(`becomingone.wire.signature`); the codec takes and leaves that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from becomingone.wire import cbor
from becomingone.wire.arrays import one_sample, read_sample
from becomingone.wire.fields import INT63, OMEGA, UINT32, bounded, integer, required, single


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFrame:
    """The mesh in one band at one instant.

    Parameters
    ----------
    boot : int
        The hub's boot id, 32 bits.
    seq : int
        Number of the frame within the band and boot, 64 bits, from 0.
    time_us : int
        Mesh time of the field, µs since the Unix epoch, 0..2⁶³−1.
    field : complex
        Global T: its phase is the mesh's, its modulus 0..1 how much there is to follow. 0 where there is none.
    omega : float
        Rate at which that phase goes on, rad/s, −10⁹..10⁹.
    cell_size : int
        Nodes that the hub knows, 0..2³²−1: what a node scales its reconnection back-off with.
    """

    boot: int
    seq: int
    time_us: int
    field: complex
    omega: float
    cell_size: int


def encode_sync(frame: SyncFrame) -> bytes:
    """Encode a frame; equal ones give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_sync` would refuse it for.
    """
    fields: dict[int, Any] = {
        1: frame.boot,
        2: frame.seq,
        3: frame.time_us,
        4: one_sample(frame.field, "field"),
        5: single(frame.omega, "omega"),
        6: frame.cell_size,
    }
    _read(fields)
    return cbor.encode(fields)


def decode_sync(payload: bytes) -> SyncFrame:
    """Decode and check a frame.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _read(cbor.decode(payload))


def _read(fields: Mapping[int, Any]) -> SyncFrame:
    return SyncFrame(
        boot=integer(fields, 1, "boot", most=UINT32),
        seq=integer(fields, 2, "seq"),
        time_us=integer(fields, 3, "time_us", most=INT63),
        field=read_sample(required(fields, 4, "field"), "field"),
        omega=bounded(fields, 5, "omega", -OMEGA, OMEGA),
        cell_size=integer(fields, 6, "cell_size", most=UINT32),
    )
