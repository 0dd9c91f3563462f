"""The four-timestamp exchange by which a node learns mesh time: its ping, the hub's pong.

A node sends t1, read from its own clock; the hub reads mesh time at t2 when it takes the ping and at t3 when it gives
the pong away; the node reads t4 when that comes. t1 and t4 are the node's, t2 and t3 the mesh's, so ((t2 − t1) +
(t3 − t4))/2 is what mesh time is ahead of the node's clock, within half of the round trip (t4 − t1) − (t3 − t2)
(RFC 5905, 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.fields import FLOAT32, INT63, UINT32, bounded, integer, single


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockPing:
    """A node's question.

    Parameters
    ----------
    boot : int
        The node's boot id, 32 bits.
    seq : int
        Number of the probe within that boot, 64 bits.
    t1_ns : int
        When it was sent, ns on the node's monotonic clock, 0..2⁶³−1.
    """

    boot: int
    seq: int
    t1_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockPong:
    """The hub's answer.

    Parameters
    ----------
    boot, seq, t1_ns : int
        As in the ping.
    t2_ns : int
        When the ping came, mesh time, ns since the Unix epoch, 0..2⁶³−1.
    t3_ns : int
        When the pong was sent, ns since the Unix epoch, not before ``t2_ns``.
    hub_boot : int
        The hub's boot id, 32 bits: another hub, or another life of it, may keep another mesh time.
    sigma_s : float
        Standard deviation of the hub's clock against mesh time, s, ≥ 0; next to 0 where mesh time is its own.
    """

    boot: int
    seq: int
    t1_ns: int
    t2_ns: int
    t3_ns: int
    hub_boot: int
    sigma_s: float


def encode_ping(ping: ClockPing) -> bytes:
    """Encode a ping; equal ones give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_ping` would refuse it for.
    """
    fields: dict[int, Any] = {1: ping.boot, 2: ping.seq, 3: ping.t1_ns}
    _ping(fields)
    return cbor.encode(fields)


def decode_ping(payload: bytes) -> ClockPing:
    """Decode and check a ping.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _ping(cbor.decode(payload))


def encode_pong(pong: ClockPong) -> bytes:
    """Encode a pong; equal ones give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_pong` would refuse it for.
    """
    fields: dict[int, Any] = {
        1: pong.boot,
        2: pong.seq,
        3: pong.t1_ns,
        4: pong.t2_ns,
        5: pong.t3_ns,
        6: pong.hub_boot,
        7: single(pong.sigma_s, "sigma_s"),
    }
    _pong(fields)
    return cbor.encode(fields)


def decode_pong(payload: bytes) -> ClockPong:
    """Decode and check a pong.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _pong(cbor.decode(payload))


def _ping(fields: Mapping[int, Any]) -> ClockPing:
    return ClockPing(
        boot=integer(fields, 1, "boot", most=UINT32),
        seq=integer(fields, 2, "seq"),
        t1_ns=integer(fields, 3, "t1_ns", most=INT63),
    )


def _pong(fields: Mapping[int, Any]) -> ClockPong:
    ping = _ping(fields)
    pong = ClockPong(
        boot=ping.boot,
        seq=ping.seq,
        t1_ns=ping.t1_ns,
        t2_ns=integer(fields, 4, "t2_ns", most=INT63),
        t3_ns=integer(fields, 5, "t3_ns", most=INT63),
        hub_boot=integer(fields, 6, "hub_boot", most=UINT32),
        sigma_s=bounded(fields, 7, "sigma_s", 0.0, FLOAT32),
    )
    if pong.t3_ns < pong.t2_ns:
        raise FrameError("range", f"t3_ns must not be before t2_ns, as {pong.t3_ns} is before {pong.t2_ns}")
    return pong
