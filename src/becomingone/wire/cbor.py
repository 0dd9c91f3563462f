"""Deterministic CBOR out (RFC 8949, 4.2), hostile bytes in.

`decode` walks the bytes before any library sees them and refuses everything that our protocol has no use for, so
that what is refused does not depend on the library's version: cbor2 5 decodes decimal fractions and bignums whose
conversion takes seconds, and accepts duplicate keys and indefinite lengths.
"""

from __future__ import annotations

import struct
from typing import Any, Final, cast

import cbor2

from becomingone.errors import FrameError

MAX_PAYLOAD: Final = 1 << 20
"""Bytes of the longest payload that is looked at."""

MAX_DEPTH: Final = 8
"""Levels of nesting, the outermost map included."""

MAX_PAIRS: Final = 256
"""Entries of one map or array; our own have under forty."""

MAX_ITEMS: Final = 1024
"""Items of one payload, at all levels and keys included; our own have under a hundred."""

FLOAT32_ARRAY: Final = 85
"""The tag of a little-endian float32 typed array (RFC 8746, 2.1), the only tag that we use."""

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""The major types (RFC 8949, 3.1)."""

_ARGUMENT: Final = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_SIMPLE_VALUES: Final = (20, 21, 22)  # false, true, null
_INLINE: Final = 24  # arguments below stand in the first byte
_SMALL: Final = tuple(bytes((value,)) for value in range(_INLINE))
_UINT16, _UINT32, _UINT64 = struct.Struct(">BH"), struct.Struct(">BI"), struct.Struct(">BQ")
_HALF: Final = struct.Struct(">Be")
_LARGEST_HALF: Final = 65_504.0
_FLOATS: Final = {25: struct.Struct(">Be"), 26: struct.Struct(">Bf"), 27: struct.Struct(">Bd")}
SINGLE: Final = struct.Struct(">f")
"""A number as CBOR writes a single."""

_NAN: Final = b"\xf9\x7e\x00"


def encode(value: dict[int, Any]) -> bytes:
    """Encode a map in the deterministic form: shortest numbers, definite lengths, sorted keys."""
    return _encoded(value)


def _encoded(value: object) -> bytes:
    """Encode one item; floats and what may hold them here, because cbor2 5 takes single for halves from 32,768 on."""
    if isinstance(value, float):
        return _encoded_float(value)
    if isinstance(value, dict):
        entries = cast("dict[object, object]", value).items()
        pairs = sorted((_encoded(key), _encoded(content)) for key, content in entries)
        return head(MAP, len(pairs)) + b"".join(key + content for key, content in pairs)
    if isinstance(value, list):
        elements = cast("list[object]", value)
        return head(ARRAY, len(elements)) + b"".join(_encoded(element) for element in elements)
    if type(value) is int and 0 <= value < 1 << 64:
        return uint(value)
    return cbor2.dumps(value)


def head(major: int, argument: int) -> bytes:
    """Encode an item's head in the shortest form (RFC 8949, 3)."""
    encoded = uint(argument)
    return bytes((major << 5 | encoded[0],)) + encoded[1:]


def uint(value: int) -> bytes:
    """Encode an unsigned integer of at most 64 bits in the shortest form."""
    if value < _INLINE:
        return _SMALL[value]
    if value < 1 << 8:
        return bytes((24, value))
    if value < 1 << 16:
        return _UINT16.pack(25, value)
    return _UINT32.pack(26, value) if value < 1 << 32 else _UINT64.pack(27, value)


def shortest(single: bytes) -> bytes:
    """Encode a finite number, given as the bytes of a big-endian single, as a half where that keeps it."""
    if not (single[3] or single[2] & 0x1F):  # no more digits than a half has
        (value,) = SINGLE.unpack(single)
        if -_LARGEST_HALF <= value <= _LARGEST_HALF:
            half = _HALF.pack(0xF9, value)
            if _HALF.unpack(half)[1] == value:
                return half
    return b"\xfa" + single


def _encoded_float(value: float) -> bytes:
    for info, shape in _FLOATS.items():
        try:
            encoded = shape.pack(SIMPLE << 5 | info, value)
        except OverflowError:
            continue
        if shape.unpack(encoded)[1] == value:
            return encoded
    return _NAN


def decode(payload: bytes) -> dict[int, Any]:
    """Decode one map with unsigned keys.

    Raises
    ------
    FrameError
        For anything else, with the reason under which it is counted.
    """
    if len(payload) > MAX_PAYLOAD:
        raise FrameError("oversize", f"{len(payload)} bytes, at most {MAX_PAYLOAD} are taken")
    if not payload or payload[0] >> 5 != MAP:
        raise FrameError("type", "the payload must be one CBOR map")
    end = _Scan(payload).item(0, 1)
    if end != len(payload):
        raise FrameError("trailing", f"{len(payload) - end} bytes after the map")
    try:
        value: object = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, ValueError) as error:  # a text that is not UTF-8
        raise FrameError("malformed", str(error)) from error
    fields = cast("dict[int, Any]", value)
    if not isinstance(value, dict) or not all(type(key) is int and key >= 0 for key in fields):
        raise FrameError("type", "the keys of the map must be unsigned integers")
    return fields


def _head(payload: bytes, at: int) -> tuple[int, int, int, int]:
    """Read an item's head: (major type, additional information, argument, where the content begins)."""
    try:
        first = payload[at]
        major, info = first >> 5, first & 0x1F
        if info < _INLINE:
            return major, info, info, at + 1
        if info == 31:
            raise FrameError("indefinite", f"an indefinite length at byte {at}")
        if info not in _ARGUMENT:
            raise FrameError("malformed", f"reserved additional information {info} at byte {at}")
        shape = _ARGUMENT[info]
        (argument,) = struct.unpack_from(shape, payload, at + 1)
        return major, info, argument, at + 1 + struct.calcsize(shape)
    except (IndexError, struct.error) as error:
        raise FrameError("truncated", f"the payload ends inside the item at byte {at}") from error


class _Scan:
    """One walk over a payload; each method takes the place where something begins and gives the place after it."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._items = 0

    def item(self, at: int, depth: int) -> int:
        """Walk over one item of any kind."""
        if depth > MAX_DEPTH:
            raise FrameError("depth", f"nested deeper than {MAX_DEPTH} levels")
        self._items += 1
        if self._items > MAX_ITEMS:
            raise FrameError("too_long", f"more than {MAX_ITEMS} items")
        major, info, argument, content = _head(self._payload, at)
        if major in (UNSIGNED, NEGATIVE):
            return content
        if major in (BYTES, TEXT):
            if content + argument > len(self._payload):
                raise FrameError("truncated", f"the payload ends inside the string at byte {at}")
            return content + argument
        if major == SIMPLE:
            if info in _SIMPLE_VALUES or info in _FLOATS:
                return content
            raise FrameError("type", f"simple value {argument} at byte {at} has no meaning here")
        if major == TAG:
            return self._tagged(argument, at, content, depth)
        if argument > MAX_PAIRS:
            raise FrameError("too_long", f"{argument} entries at byte {at}, at most {MAX_PAIRS} are taken")
        return self._map(content, argument, depth) if major == MAP else self._array(content, argument, depth)

    def _tagged(self, tag: int, at: int, content: int, depth: int) -> int:
        if tag != FLOAT32_ARRAY:
            raise FrameError("tag", f"tag {tag} at byte {at}: only a float32 typed array (85) is taken")
        major, *_ = _head(self._payload, content)
        if major != BYTES:
            raise FrameError("tag", f"tag {tag} at byte {at} does not hold a byte string")
        return self.item(content, depth + 1)

    def _array(self, at: int, count: int, depth: int) -> int:
        for _ in range(count):
            at = self.item(at, depth + 1)
        return at

    def _map(self, at: int, count: int, depth: int) -> int:
        seen: set[tuple[int, int | bytes]] = set()
        for _ in range(count):
            major, _info, argument, content = _head(self._payload, at)
            if major not in (UNSIGNED, TEXT):
                raise FrameError("type", f"the map's key at byte {at} is neither an unsigned integer nor a text")
            end = self.item(at, depth + 1)
            key = (major, self._payload[content:end] if major == TEXT else argument)
            if key in seen:
                raise FrameError("duplicate_key", f"the map's key at byte {at} stands there twice")
            seen.add(key)
            at = self.item(end, depth + 1)
        return at
