"""What comes as CBOR: frames, commands, clock messages, acknowledgements, sums."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, cast

from becomingone.errors import FrameError
from becomingone.wire import ack, aggregate, cbor, clock, command, compose, frame, kept, layout, oscillator, sync
from becomingone.wire.verbs import Verb

from .seeds import refused, vectors
from .targets import TAKEN, equal, outcome, target


def rounded(value: object) -> object:
    """What the wire makes of a value: each float a float32."""
    if isinstance(value, float):
        return struct.unpack("<f", struct.pack("<f", value))[0]
    if isinstance(value, complex):
        return complex(*struct.unpack("<2f", struct.pack("<2f", value.real, value.imag)))
    if isinstance(value, dict):
        return {key: rounded(content) for key, content in value.items()}
    return value


def plain(value: object) -> object:
    """A message as a tuple of its fields, each map as its sorted entries: what may differ without being different."""
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(plain(getattr(value, part.name)) for part in fields(value))
    if isinstance(value, dict):
        return sorted((key, plain(content)) for key, content in cast("dict[Any, object]", value).items())
    return value


def round_trip(
    data: bytes, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], *, exact: bool = False
) -> str:
    """Read a message, write it, read that, and write it again."""
    found = decode(data)
    written = encode(found)
    again = decode(written)
    equal(plain(again), plain(found) if exact else plain(_round_fields(found)))
    equal(encode(again), written)


def _round_fields(message: Any) -> Any:
    return type(message)(**{part.name: rounded(getattr(message, part.name)) for part in fields(message)})


@target("cbor", lambda: vectors("frames", "lenient", "refused"), 12, decode_frame=frame.decode_frame)
def frames(data: bytes) -> None:
    """A phase frame: both ways of reading it and both ways of writing it agree, and what is read is written again."""
    quick = layout.recognise(data)
    try:
        slow = frame._read(cbor.decode(data))
    except FrameError as error:
        equal((quick, outcome(frame.decode_frame, data)), (None, error.reason))
        raise
    if quick is not None:
        equal(quick, slow)
    found = frame.decode_frame(data)
    equal(found, slow)
    written = frame.encode_frame(found)
    equal(written, frame._encode(found))
    equal(compose.compose(found) or written, written)
    again = frame.decode_frame(written)
    equal(tuple(again), tuple(map(rounded, found)))
    equal(frame.encode_frame(again), written)
    equal(len(again.phasors) * 8, len(found.samples))


@target(
    "cbor",
    lambda: [*vectors("commands"), *refused("command")],
    decode_command=lambda data: command.decode_command(data, "display"),
)
def commands(data: bytes) -> None:
    """An output command, read for an output of each role."""
    cbor.decode(data)  # what no role takes need not be tried with each
    roles = [role for role in command.RANGES if outcome(partial(command.decode_command, role=role), data) == TAKEN]
    for role in roles or ["display"]:
        round_trip(data, partial(command.decode_command, role=role), command.encode_command)


@target(
    "cbor",
    lambda: [*vectors("node-commands"), *refused("node-command")],
    decode_node_command=command.decode_node_command,
)
def node_commands(data: bytes) -> None:
    """A command to a node as a whole, read with each verb."""
    cbor.decode(data)
    verbs = [verb for verb in Verb if outcome(partial(command.decode_node_command, verb=verb), data) == TAKEN]
    for verb in verbs or [Verb.REBIRTH]:
        decode, encode = command.decode_node_command, command.encode_node_command
        round_trip(data, partial(decode, verb=verb), partial(encode, verb=verb))


@target("cbor", lambda: [*vectors("clock-pings"), *refused("clock-ping")], decode_ping=clock.decode_ping)
def clock_pings(data: bytes) -> None:
    """A node's question for the time."""
    round_trip(data, clock.decode_ping, clock.encode_ping)


@target("cbor", lambda: [*vectors("clock-pongs"), *refused("clock-pong")], decode_pong=clock.decode_pong)
def clock_pongs(data: bytes) -> None:
    """The hub's answer."""
    round_trip(data, clock.decode_pong, clock.encode_pong)


@target("cbor", lambda: [*vectors("acks"), *refused("ack")], decode_ack=ack.decode_ack)
def acks(data: bytes) -> None:
    """What the hub has committed."""
    round_trip(data, ack.decode_ack, ack.encode_ack)


@target("cbor", lambda: [*vectors("kept"), *refused("kept")], decode_kept=kept.decode_kept)
def oldest_kept(data: bytes) -> None:
    """Where what a node keeps begins."""
    round_trip(data, kept.decode_kept, kept.encode_kept)


@target("cbor", lambda: [*vectors("syncs"), *refused("sync")], decode_sync=sync.decode_sync)
def syncs(data: bytes) -> None:
    """The field of the mesh in a band."""
    round_trip(data, sync.decode_sync, sync.encode_sync)


@target(
    "cbor", lambda: [*vectors("oscillators"), *refused("oscillator")], decode_oscillator=oscillator.decode_oscillator
)
def oscillators(data: bytes) -> None:
    """A node's control oscillator."""
    round_trip(data, oscillator.decode_oscillator, oscillator.encode_oscillator)


@target("cbor", lambda: [*vectors("aggregates"), *refused("aggregate")], decode_aggregate=aggregate.decode_aggregate)
def aggregates(data: bytes) -> None:
    """The sums of a child cell, whose numbers keep all their digits."""
    round_trip(data, aggregate.decode_aggregate, aggregate.encode_aggregate, exact=True)
