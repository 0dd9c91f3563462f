"""Banks and pyramids as text within a JSON entry, and back bit for bit.

A piece is base64 of zlib of: the length of a JSON header, 4 bytes little-endian; the header, whose ``numbers`` are the
single values and whose ``arrays`` are [name, type, items]; then the arrays, little-endian, one after the other. Of
whole numbers the differences are written, which are small.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from becomingone.errors import KernelError
from becomingone.kairos.memory.blend import Blend, BlendState
from becomingone.kairos.memory.pyramid import Pyramid
from becomingone.kairos.memory.pyramid_state import PyramidState

LARGEST: Final = 64 << 20
"""Bytes of the largest piece that is unpacked."""

_TYPES: Final[dict[str, np.dtype[Any]]] = {"<i8": np.dtype("<i8"), "<f8": np.dtype("<f8"), "<c16": np.dtype("<c16")}
_LENGTH: Final = struct.Struct("<I")


def pack(state: Mapping[str, Any]) -> str:
    """Pack numbers and one-dimensional arrays of int64, float64 or complex128."""
    numbers: dict[str, int] = {}
    arrays: list[tuple[str, str, int]] = []
    parts: list[bytes] = []
    for name, value in state.items():
        if not isinstance(value, np.ndarray):
            numbers[name] = int(value)
            continue
        array = cast("NDArray[Any]", value)
        kind = "<" + array.dtype.str[1:]
        column: NDArray[Any] = array.astype(_TYPES[kind])
        if kind == "<i8":
            column = np.diff(column, prepend=np.int64(0))
        arrays.append((name, kind, column.shape[0]))
        parts.append(column.tobytes())
    header = json.dumps({"numbers": numbers, "arrays": arrays}, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(_LENGTH.pack(len(header)) + header + b"".join(parts))).decode("ascii")


def unpack(text: str) -> dict[str, Any]:
    """Read what `pack` gave.

    Raises
    ------
    KernelError
        It is none.
    """
    try:
        inflating = zlib.decompressobj()
        raw = inflating.decompress(base64.b64decode(text, validate=True), LARGEST)
        if not inflating.eof:
            raise KernelError("a piece of the tiers is cut short or too large")
        (length,) = _LENGTH.unpack_from(raw)
        header = json.loads(raw[_LENGTH.size : _LENGTH.size + length])
        state: dict[str, Any] = {str(name): int(value) for name, value in header["numbers"].items()}
        place = _LENGTH.size + length
        for name, kind, items in header["arrays"]:
            column = np.frombuffer(raw, _TYPES[kind], count=int(items), offset=place).astype(
                _TYPES[kind].newbyteorder("=")
            )
            place += column.nbytes
            state[str(name)] = np.cumsum(column) if kind == "<i8" else column
    except (binascii.Error, zlib.error, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KernelError(f"a piece of the tiers cannot be read: {error}") from error
    return state


def unpack_blend(text: str) -> Blend:
    """Give the bank.

    Raises
    ------
    KernelError
        It is none.
    """
    try:
        return Blend.from_state(cast("BlendState", unpack(text)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise KernelError(f"a bank cannot be read: {error}") from error


def unpack_pyramid(text: str) -> Pyramid:
    """Give the pyramid.

    Raises
    ------
    KernelError
        It is none.
    """
    try:
        return Pyramid.from_state(cast("PyramidState", unpack(text)))
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise KernelError(f"a pyramid cannot be read: {error}") from error
