"""Every CBOR message in one list: its vectors, its codec, its map by the page's tables and not by the code, and any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hypothesis import strategies as st

from becomingone.wire.ack import Ack, Stream, decode_ack, encode_ack
from becomingone.wire.aggregate import AggregateFrame, decode_aggregate, encode_aggregate
from becomingone.wire.clock import ClockPing, ClockPong, decode_ping, decode_pong, encode_ping, encode_pong
from becomingone.wire.command import (
    RANGES,
    NodeCommand,
    OutputCommand,
    decode_command,
    decode_node_command,
    encode_command,
    encode_node_command,
)
from becomingone.wire.frame import decode_frame, encode_frame
from becomingone.wire.kept import OldestKept, decode_kept, encode_kept
from becomingone.wire.oscillator import OscillatorFrame, decode_oscillator, encode_oscillator
from becomingone.wire.sync import SyncFrame, decode_sync, encode_sync
from becomingone.wire.verbs import Verb

from .drawn import (
    Fields,
    aggregates,
    committed,
    pairs,
    phase_frames,
    phases,
    pongs,
    rates,
    realign,
    records,
    singles,
    start,
    sum_fields,
    sum_of,
    uint32,
    uint63,
    uint64,
    values_of,
)
from .golden import fields_of, frame_map, frame_of, typed, vectors


def keys_of(*order: str) -> Callable[[Fields], dict[int, Any]]:
    """A map whose keys are 1, 2, 3 ... in the order of the page's table; what is absent is left out."""
    return lambda fields: {key: fields[name] for key, name in enumerate(order, 1) if name in fields}


def streams_map(name: str) -> Callable[[Fields], dict[int, Any]]:
    """A map of which one field has numbers by boot, band and channel."""

    def content(fields: Fields) -> dict[int, Any]:
        nested: dict[int, dict[str, dict[str, int]]] = {}
        for boot, band, channel, seq in fields[name]:
            nested.setdefault(boot, {}).setdefault(band, {})[channel] = seq
        return {1: fields["boot"], 2: fields["seq"], 3: nested}

    return content


def sync_map(fields: Fields) -> dict[int, Any]:
    content = keys_of("boot", "seq", "time_us", "field", "omega", "cell_size")(fields)
    return {**content, 4: typed(complex(*fields["field"]))}


def aggregate_map(fields: Fields) -> dict[int, Any]:
    content = keys_of("boot", "seq", "time_us", "bands", "omega", "cells")(fields)
    sums = {name: list(total.values()) for name, total in fields["bands"].items()}
    return {**content, 4: sums, 6: bytes.fromhex("".join(fields["cells"]))}


def node_command_fields(command: NodeCommand) -> Fields:
    start_fields = {"boot": command.boot, "id": command.id, "expires_us": command.expires_us}
    return {**start_fields, "arguments": dict(command.arguments)} if command.arguments else start_fields


@dataclass(frozen=True)
class Message:
    """One kind of message.

    ``rule`` is the CDDL's, ``kind`` the verb or role that its topic names. ``value`` makes what is encoded of a
    vector's fields, ``fields`` goes the other way, ``content`` gives the map that crosses the wire.
    """

    name: str
    rule: str
    kind: str | None
    vectors: list[dict[str, Any]]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    value: Callable[[Fields], Any]
    fields: Callable[[Any], Fields]
    content: Callable[[Fields], dict[int, Any]]
    required: int
    any: st.SearchStrategy[Fields]

    def __str__(self) -> str:
        return self.name

    @property
    def rule_of_all(self) -> str:
        """The rule for every verb or role."""
        return "output-command" if self.rule == "output-command" else "node-command"


def output_command(role: str) -> Message:
    return Message(
        name=f"output-command-{role}",
        rule="output-command",
        kind=role,
        vectors=[vector for vector in vectors("commands") if vector["role"] == role],
        encode=encode_command,
        decode=lambda payload: decode_command(payload, role),
        value=lambda fields: OutputCommand(**fields),
        fields=asdict,
        content=keys_of("boot", "id", "expires_us", "values"),
        required=4,
        any=records(**start, values=values_of(role)),
    )


def node_command(verb: Verb, arguments: st.SearchStrategy[Fields] | None, *, needed: bool = False) -> Message:
    plain = records(**start)
    given = plain if arguments is None else records(**start, arguments=arguments.filter(bool))
    return Message(
        name=f"node-command-{verb}",
        rule="plain-command" if arguments is None else f"{verb}-command",
        kind=verb,
        vectors=[vector for vector in vectors("node-commands") if vector["verb"] == verb],
        encode=lambda command: encode_node_command(command, verb),
        decode=lambda payload: decode_node_command(payload, verb),
        value=lambda fields: NodeCommand(**fields),
        fields=node_command_fields,
        content=keys_of("boot", "id", "expires_us", "arguments"),
        required=4 if needed else 3,
        any=given if needed else plain | given,
    )


MESSAGES = [
    Message(
        "phase-frame",
        "phase-frame",
        None,
        vectors("frames"),
        encode_frame,
        decode_frame,
        frame_of,
        fields_of,
        frame_map,
        14,
        phase_frames().map(fields_of),
    ),
    *(output_command(role) for role in RANGES),
    node_command(Verb.REBIRTH, None),
    node_command(Verb.REALIGN, realign, needed=True),
    node_command(Verb.IDENTIFY, st.fixed_dictionaries({}, optional={"seconds": singles(1.0, 60.0)})),
    node_command(Verb.RELOAD, None),
    node_command(Verb.LOGLEVEL, records(level=st.sampled_from(["debug", "info", "warning", "error"])), needed=True),
    node_command(Verb.LOG, st.fixed_dictionaries({}, optional={"lines": st.integers(1, 256)})),
    node_command(Verb.RESTART, None),
    Message(
        "clock-ping",
        "clock-ping",
        None,
        vectors("clock-pings"),
        encode_ping,
        decode_ping,
        lambda fields: ClockPing(**fields),
        asdict,
        keys_of("boot", "seq", "t1_ns"),
        3,
        records(boot=uint32, seq=uint64, t1_ns=uint63),
    ),
    Message(
        "clock-pong",
        "clock-pong",
        None,
        vectors("clock-pongs"),
        encode_pong,
        decode_pong,
        lambda fields: ClockPong(**fields),
        asdict,
        keys_of("boot", "seq", "t1_ns", "t2_ns", "t3_ns", "hub_boot", "sigma_s"),
        7,
        pongs,
    ),
    Message(
        "ack",
        "ack",
        None,
        vectors("acks"),
        encode_ack,
        decode_ack,
        lambda fields: Ack(
            boot=fields["boot"],
            seq=fields["seq"],
            committed={Stream(boot, band, channel): seq for boot, band, channel, seq in fields["committed"]},
        ),
        lambda ack: {
            "boot": ack.boot,
            "seq": ack.seq,
            "committed": [[*stream, seq] for stream, seq in sorted(ack.committed.items())],
        },
        streams_map("committed"),
        3,
        records(boot=uint32, seq=uint64, committed=committed),
    ),
    Message(
        "kept",
        "kept",
        None,
        vectors("kept"),
        encode_kept,
        decode_kept,
        lambda fields: OldestKept(
            boot=fields["boot"],
            seq=fields["seq"],
            oldest={Stream(boot, band, channel): seq for boot, band, channel, seq in fields["oldest"]},
        ),
        lambda kept: {
            "boot": kept.boot,
            "seq": kept.seq,
            "oldest": [[*stream, seq] for stream, seq in sorted(kept.oldest.items())],
        },
        streams_map("oldest"),
        3,
        records(boot=uint32, seq=uint64, oldest=committed),
    ),
    Message(
        "sync",
        "sync",
        None,
        vectors("syncs"),
        encode_sync,
        decode_sync,
        lambda fields: SyncFrame(**{**fields, "field": complex(*fields["field"])}),
        lambda frame: {**asdict(frame), "field": [frame.field.real, frame.field.imag]},
        sync_map,
        6,
        records(boot=uint32, seq=uint64, time_us=uint63, field=pairs, omega=rates, cell_size=uint32),
    ),
    Message(
        "oscillator",
        "oscillator",
        None,
        vectors("oscillators"),
        encode_oscillator,
        decode_oscillator,
        lambda fields: OscillatorFrame(**fields),
        asdict,
        keys_of("boot", "seq", "time_us", "phase", "natural_omega", "effective_omega", "entrained"),
        7,
        records(
            boot=uint32,
            seq=uint64,
            time_us=uint63,
            phase=phases,
            natural_omega=rates,
            effective_omega=rates,
            entrained=st.booleans(),
        ),
    ),
    Message(
        "aggregate",
        "aggregate",
        None,
        vectors("aggregates"),
        encode_aggregate,
        decode_aggregate,
        lambda fields: AggregateFrame(
            **{
                **fields,
                "bands": {band: sum_of(total) for band, total in fields["bands"].items()},
                "cells": frozenset(map(bytes.fromhex, fields["cells"])),
            }
        ),
        lambda frame: {
            "boot": frame.boot,
            "seq": frame.seq,
            "time_us": frame.time_us,
            "bands": {name: sum_fields(total) for name, total in frame.bands.items()},
            "omega": dict(frame.omega),
            "cells": sorted(cell.hex() for cell in frame.cells),
        },
        aggregate_map,
        6,
        aggregates(),
    ),
]

BY_NAME = {message.name: message for message in MESSAGES}
