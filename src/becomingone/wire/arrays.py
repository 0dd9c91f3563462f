"""Complex samples as CBOR carries them: little-endian float32, real and imaginary part in turn (RFC 8746, 2.1)."""

from __future__ import annotations

import struct
from typing import Final

import cbor2
import numpy as np

from becomingone.errors import FrameError
from becomingone.wire.cbor import FLOAT32_ARRAY
from becomingone.wire.fields import single

SAMPLE: Final = struct.Struct("<2f")
"""One complex sample."""

MAX_MODULUS: Final = 1.0 + 1e-5
"""The longest that a unit phasor may be after rounding to float32."""


def typed_array(samples: bytes) -> cbor2.CBORTag:
    """Tag samples as what they are."""
    return cbor2.CBORTag(FLOAT32_ARRAY, samples)


def one_sample(value: complex, name: str) -> cbor2.CBORTag:
    """Give one sample, rounded to float32, as a typed array.

    Raises
    ------
    FrameError
        When it is not finite.
    """
    return typed_array(SAMPLE.pack(single(value.real, name), single(value.imag, name)))


def read_samples(value: object, name: str, most: int) -> bytes:
    """Give the samples of a typed array, after checking that each is finite and of modulus at most 1.

    Parameters
    ----------
    value : object
        What stands in the decoded map.
    name : str
        The field's, for the refusal.
    most : int
        Samples that are taken; at least one must be there.

    Raises
    ------
    FrameError
        When it is no such array, too long, not finite or a modulus exceeds 1 by more than rounding.
    """
    if not isinstance(value, cbor2.CBORTag) or not isinstance(value.value, bytes):
        raise FrameError("type", f"{name} must be a float32 typed array (tag 85)")
    data = value.value
    if len(data) % SAMPLE.size or not data:
        raise FrameError("range", f"{name} must hold pairs (re, im) of float32, not {len(data)} bytes")
    if len(data) > SAMPLE.size * most:
        msg = f"{name} must hold at most {most} complex samples, not {len(data) // SAMPLE.size}"
        raise FrameError("too_long", msg)
    array = np.frombuffer(data, "<c8")
    if not np.isfinite(array).all():
        raise FrameError("not_finite", f"{name} must be finite")
    largest = float(np.abs(array.astype(np.complex128)).max())  # as singles, two huge parts would overflow
    if largest > MAX_MODULUS:
        raise FrameError("range", f"{name} must have a modulus of at most 1, not {largest:g}")
    return data


def read_sample(value: object, name: str) -> complex:
    """Give the one sample of a typed array; see `read_samples`."""
    return complex(*SAMPLE.unpack(read_samples(value, name, 1)))
