"""Reading a decoded map field by field: present, of the right type, finite, in range, or refused with a reason."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from becomingone.errors import FrameError

UINT32: Final = (1 << 32) - 1
UINT64: Final = (1 << 64) - 1
INT63: Final = (1 << 63) - 1
FLOAT32: Final = (2.0 - 2.0**-23) * 2.0**127
"""The largest number that a float32 holds."""
PHASE: Final = 13176795 / 2**22
"""π as a float32, which is above π: the greatest modulus of a phase on the wire, rad."""
OMEGA: Final = 1e9
"""The greatest modulus of an angular frequency, rad/s."""


def required(fields: Mapping[int, Any], key: int, name: str) -> Any:  # noqa: ANN401 - checked by the caller
    """Give the field's raw value.

    Raises
    ------
    FrameError
        When it is not there.
    """
    try:
        return fields[key]
    except KeyError:
        raise FrameError("missing", f"key {key} ({name}) is required") from None


def integer(fields: Mapping[int, Any], key: int, name: str, *, most: int = UINT64) -> int:
    """Give an unsigned integer of at most `most`.

    Raises
    ------
    FrameError
        When it is missing, of another type or out of range.
    """
    value = required(fields, key, name)
    if type(value) is not int:
        raise FrameError("type", f"{name} must be an unsigned integer, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise FrameError("range", f"{name} must be 0..{most}, not {value}")
    return value


def number(value: object, name: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Give a finite number within the bounds as a float.

    Raises
    ------
    FrameError
        When it is of another type, not finite or out of range.
    """
    if type(value) is not float and type(value) is not int:
        raise FrameError("type", f"{name} must be a number, not {type(value).__name__}")
    result = float(value)
    if not math.isfinite(result):
        raise FrameError("not_finite", f"{name} must be finite, not {result}")
    if not least <= result <= most:
        raise FrameError("range", f"{name} must be {least:g}..{most:g}, not {result:g}")
    return result


def bounded(fields: Mapping[int, Any], key: int, name: str, least: float, most: float) -> float:
    """Give a required number within the bounds as a float; see `number`."""
    return number(required(fields, key, name), name, least=least, most=most)


def single(value: float, name: str) -> float:
    """Round to the float32 that the wire carries.

    Raises
    ------
    FrameError
        When it is not finite as a float32.
    """
    try:
        (result,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise FrameError("not_finite", f"{name} must be finite as a float32, not {value}")
    return float(result)
