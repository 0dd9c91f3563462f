"""Golden messages, and a CBOR encoder of one page that owes nothing to the library under test."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from becomingone.errors import FrameError
from becomingone.wire.frame import Flags, PhaseFrame

DOCS = Path(__file__).parents[2] / "docs"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Tag:
    number: int
    content: Any


def head(major: int, argument: int) -> bytes:
    """The shortest head of an item (RFC 8949, 3)."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise AssertionError(argument)


def shortest_float(value: float) -> bytes:
    """The shortest of half, single and double that keeps the value, NaN excluded (RFC 8949, 4.2.1)."""
    for first, shape in ((0xF9, ">e"), (0xFA, ">f"), (0xFB, ">d")):
        try:
            packed = struct.pack(shape, value)
        except OverflowError:
            continue
        if struct.unpack(shape, packed) == (value,):
            return bytes([first]) + packed
    raise AssertionError(value)


def item(value: Any) -> bytes:
    """Encode deterministically (RFC 8949, 4.2.1)."""
    if isinstance(value, Tag):
        return head(6, value.number) + item(value.content)
    encoded: bytes = ENCODERS[type(value)](value)
    return encoded


def _map(value: dict[Any, Any]) -> bytes:
    return head(5, len(value)) + b"".join(map(b"".join, sorted((item(k), item(v)) for k, v in value.items())))


ENCODERS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"\xf5" if value else b"\xf4",
    type(None): lambda _: b"\xf6",
    int: lambda value: head(0, value) if value >= 0 else head(1, -1 - value),
    float: shortest_float,
    bytes: lambda value: head(2, len(value)) + value,
    str: lambda value: head(3, len(value.encode())) + value.encode(),
    list: lambda value: head(4, len(value)) + b"".join(map(item, value)),
    dict: _map,
}


def typed(*values: complex) -> Tag:
    """A float32 typed array of complex values."""
    return Tag(85, np.array(values, "<c8").tobytes())


def vectors(name: str) -> list[dict[str, Any]]:
    """The published vectors of a kind."""
    found: list[dict[str, Any]] = json.loads((DOCS / "vectors" / f"{name}.json").read_text())
    return found


def frame_map(fields: dict[str, Any]) -> dict[int, Any]:
    """The map that goes over the wire, from a vector's fields, by the page's table and not by the code."""
    numbers = {
        1: "boot",
        2: "seq",
        3: "time_us",
        4: "spacing_us",
        5: "phasors",
        6: "coherence",
        7: "n_eff",
        8: "p",
        9: "omega",
        10: "omega_sigma",
        11: "phase_sigma",
        12: "resonance",
        13: "clock_sigma_s",
        14: "flags",
    }
    content = {key: fields[name] for key, name in numbers.items() if fields[name] is not None}
    content[5] = typed(*(complex(*pair) for pair in fields["phasors"]))
    if 12 in content:
        content[12] = typed(complex(*fields["resonance"]))
    return content


def frame_of(fields: dict[str, Any]) -> PhaseFrame:
    """The frame that a vector's fields stand for."""
    resonance = fields["resonance"]
    others: dict[str, Any] = {
        "phasors": np.array([complex(*pair) for pair in fields["phasors"]], np.complex64),
        "flags": Flags(fields["flags"]),
        "resonance": None if resonance is None else complex(*resonance),
    }
    return PhaseFrame(**{**fields, **others})


def fields_of(frame: PhaseFrame) -> dict[str, Any]:
    """The other way round: what a vector would say of a frame."""
    return {
        "boot": frame.boot,
        "seq": frame.seq,
        "time_us": frame.time_us,
        "phasors": [[float(value.real), float(value.imag)] for value in frame.phasors],
        "spacing_us": frame.spacing_us,
        "coherence": frame.coherence,
        "n_eff": frame.n_eff,
        "p": frame.p,
        "omega": frame.omega,
        "omega_sigma": frame.omega_sigma,
        "phase_sigma": frame.phase_sigma,
        "clock_sigma_s": frame.clock_sigma_s,
        "flags": int(frame.flags),
        "resonance": None if frame.resonance is None else [frame.resonance.real, frame.resonance.imag],
    }


FRAMES = vectors("frames")
LENIENT = vectors("lenient")
REFUSED = vectors("refused")
COMMANDS = vectors("commands")
NODE_COMMANDS = vectors("node-commands")
REFUSED_OTHERS = vectors("refused-others")
REMOTE = vectors("remote")

REASONS = frozenset(
    {
        "depth",
        "duplicate_key",
        "indefinite",
        "malformed",
        "missing",
        "not_finite",
        "oversize",
        "range",
        "tag",
        "too_long",
        "trailing",
        "truncated",
        "type",
    }
)
"""Every reason for which bytes may be refused as a frame or command."""


def refusal(call: Callable[..., object], *args: object) -> str | None:
    """Give the reason for which a call refuses; None where it does not."""
    try:
        call(*args)
    except FrameError as error:
        return error.reason
    return None
