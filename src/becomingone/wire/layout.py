"""The one layout that our own encoder gives a phase frame: recognised without a walk item by item.

Deterministic encoding (RFC 8949, 4.2) leaves a frame few shapes: the keys in order, each number in one of few widths.
A regular expression tells them apart and checks every byte that is not a value; the values are then read where they
stand. What has another layout, breaks a rule or is too near to a limit to be sure is given back as None: the general
way of `becomingone.wire.frame` decides it, and alone refuses. Both ways take the same frames and give equal values.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from becomingone.wire.arrays import SAMPLE
from becomingone.wire.cbor import BYTES, FLOAT32_ARRAY, MAP, TAG, head
from becomingone.wire.fields import FLOAT32, INT63, OMEGA
from becomingone.wire.phase import MAX_SAMPLES, SPACING_US, Flags, PhaseFrame

_UINT32: Final = rb"(?:[\x00-\x17]|(?=([\x18-\x1a]))(?:\x18.|\x19..|\x1a....))"
_UINT64: Final = rb"(?:[\x00-\x17]|(?=([\x18-\x1b]))(?:\x18.|\x19..|\x1a....|\x1b.{8}))"
_FLOAT: Final = rb"(?:\xfa....|(\xf9)..)"
ARRAY: Final = head(TAG, FLOAT32_ARRAY)
ONE_SAMPLE: Final = ARRAY + head(BYTES, SAMPLE.size)
"""What stands before the one sample of a typed array."""

_START: Final = rb"([\xac-\xaf])\x01" + _UINT32 + rb"\x02" + _UINT64 + rb"\x03\x1b.{8}"
_END: Final = (
    b"".join(bytes((key,)) + _FLOAT for key in range(6, 12))
    + (rb"(?:(\x0c)" + re.escape(ONE_SAMPLE) + rb".{8})?\x0d" + _FLOAT)
    + rb"\x0e(?:[\x00-\x17]|(\x18)[\x18-\x7f])(?:(\x17)\x50.{16})?"  # the last is a MAC
)
_ONE: Final = re.compile(_START + rb"\x05" + re.escape(ONE_SAMPLE) + rb".{8}" + _END, re.DOTALL)
_BLOCK_START: Final = re.compile(
    _START + rb"\x04" + _FLOAT + rb"\x05" + re.escape(ARRAY) + rb"(\x50|\x58.|\x59..|\x5a....)", re.DOTALL
)
_TWO_SAMPLES: Final = head(BYTES, 2 * SAMPLE.size)  # the only length of a block that stands in the head itself
_BLOCK_END: Final = re.compile(_END, re.DOTALL)

_SURELY_SHORT: Final = 1.00001
"""Square of a modulus that the general way takes however it rounds: its limit's is 1.00002."""

_BELOW_TWO: Final = bytes(top for top in range(256) if top & 0x7F < 0x40)
"""The last bytes of all little-endian float32 below 2 in modulus."""

_WIDTHS: Final = {b"\x18": "B", b"\x19": "H", b"\x1a": "I", b"\x1b": "Q"}
_FLAGS: Final = tuple(map(Flags, range(128)))
_unpack_sample: Final = SAMPLE.unpack_from

_Make = Callable[[type[PhaseFrame], tuple[object, ...]], PhaseFrame]
_new: Final[_Make] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

Heads = tuple[bytes | None, ...]
"""What a regular expression has found of the heads that may differ; None for the usual one."""


class _Shape(NamedTuple):
    """Where the values of a frame of one sample stand."""

    values: struct.Struct
    sample: int
    resonance: int
    """Where T_τ stands; 0 where it does not."""


class _Shapes(dict[Heads, _Shape | None]):
    """Remembers the shapes of frames of one sample; a channel has one or two, and no sender can make it grow."""

    _MOST = 1024

    def __missing__(self, heads: Heads) -> _Shape | None:
        if len(self) >= self._MOST:
            self.clear()
        shape = None
        if _counted(heads[:3], heads[3:], 12):
            before = f">{_start_shape(heads[:3])}4x"
            *figures, resonance, clock_sigma, flags, mac = heads[3:]
            upto = f"{before}{SAMPLE.size}x{''.join(map(_float_shape, figures))}"
            pair = f"4x{SAMPLE.size}x" if resonance else ""
            last = f"{_float_shape(clock_sigma)}{_uint_shape(flags)}{'18x' if mac else ''}"
            shape = _Shape(
                struct.Struct(f"{upto}{pair}{last}"),
                struct.calcsize(before),
                struct.calcsize(f"{upto}4x") if resonance else 0,
            )
        self[heads] = shape
        return shape


class _BlockShapes(dict[tuple[Heads, Heads], tuple[struct.Struct, struct.Struct] | None]):
    """The same for blocks: what stands before their samples, and what behind."""

    _MOST = 1024

    def __missing__(self, heads: tuple[Heads, Heads]) -> tuple[struct.Struct, struct.Struct] | None:
        if len(self) >= self._MOST:
            self.clear()
        (*start, spacing), end = heads
        shape = None
        if _counted(start, end, 13):
            before = f">{_start_shape(start)}{_float_shape(spacing)}"
            shape = struct.Struct(before), struct.Struct(f">{_end_shape(end)}")
        self[heads] = shape
        return shape


_SHAPES: Final = _Shapes()
_BLOCK_SHAPES: Final = _BlockShapes()

Live = tuple[float, float, float, float, float, float, float, float, float, float, float, float, int]
"""``time_us``, re and im of the sample, ``coherence``, ``n_eff``, ``p``, ``omega``, ``omega_sigma``, ``phase_sigma``,
re and im of T_τ (NaN where there is none), ``clock_sigma_s``, flags."""


def read_one(payload: bytes) -> tuple[int, int, Live] | None:
    """Read a frame of one sample of that layout; None for anything else.

    Returns
    -------
    boot, seq : int
        As in the frame.
    live : tuple
        See `Live`.
    """
    match = _ONE.fullmatch(payload)
    if match is None:
        return None
    shape = _SHAPES[match.groups()]
    if shape is None:
        return None
    values, sample, resonance = shape
    boot, seq, time_us, coherence, n_eff, p, omega, omega_sigma, phase_sigma, clock_sigma_s, flags = values.unpack(
        payload
    )
    real, imaginary = _unpack_sample(payload, sample)
    if resonance:
        t_real, t_imaginary = _unpack_sample(payload, resonance)
        if not t_real * t_real + t_imaginary * t_imaginary <= _SURELY_SHORT:
            return None
    else:
        t_real = t_imaginary = math.nan
    # As `plausible` and `short`, without a call: this is read a hundred thousand times a second.
    if (
        real * real + imaginary * imaginary <= _SURELY_SHORT
        and time_us <= INT63
        and 0.0 <= coherence <= 1.0
        and 1.0 <= n_eff <= FLOAT32
        and 0.0 <= p <= 1.0
        and -OMEGA <= omega <= OMEGA
        and 0.0 <= omega_sigma <= FLOAT32
        and 0.0 <= phase_sigma <= FLOAT32
        and 0.0 <= clock_sigma_s <= FLOAT32
    ):
        # fmt: off
        return boot, seq, (
            time_us, real, imaginary, coherence, n_eff, p, omega, omega_sigma, phase_sigma, t_real, t_imaginary,
            clock_sigma_s, flags,
        )
        # fmt: on
    return None


def recognise(payload: bytes) -> PhaseFrame | None:
    """Read a frame of that layout; None for anything else."""
    one = read_one(payload)
    if one is None:
        return recognise_block(payload)
    boot, seq, live = one
    (time_us, real, imaginary, coherence, n_eff, p, omega, omega_sigma, phase_sigma, t_real, t_imaginary,
     clock_sigma_s, flags) = live  # fmt: skip
    # fmt: off
    return _new(PhaseFrame, (
        boot, seq, time_us, None, SAMPLE.pack(real, imaginary), coherence, n_eff, p, omega, omega_sigma, phase_sigma,
        None if math.isnan(t_real) else complex(t_real, t_imaginary), clock_sigma_s, _FLAGS[flags],
    ))
    # fmt: on


def recognise_block(payload: bytes) -> PhaseFrame | None:
    """Read a frame of several samples of that layout; None for anything else."""
    match = _BLOCK_START.match(payload)
    if match is None:
        return None
    heads = match.groups()
    length, start = heads[-1], match.end()
    stop = start + (2 * SAMPLE.size if length == _TWO_SAMPLES else int.from_bytes(length[1:], "big"))
    rest = _BLOCK_END.fullmatch(payload, stop)
    if rest is None:
        return None
    shape = _BLOCK_SHAPES[heads[:-1], rest.groups()]
    if shape is None:
        return None
    before, after = shape
    boot, seq, time_us, spacing_us = before.unpack_from(payload)
    coherence, n_eff, p, omega, omega_sigma, phase_sigma, pair, clock_sigma_s, flags = after.unpack_from(payload, stop)
    samples = payload[start:stop]
    if (
        sound(samples)
        and time_us <= INT63
        and spaced(spacing_us)
        and plausible(coherence, n_eff, p, omega, omega_sigma, phase_sigma, clock_sigma_s)
        and (not pair or short(*SAMPLE.unpack(pair)))
    ):
        resonance = complex(*SAMPLE.unpack(pair)) if pair else None
        # fmt: off
        return _new(PhaseFrame, (
            boot, seq, time_us, spacing_us, samples, coherence, n_eff, p, omega, omega_sigma, phase_sigma,
            resonance, clock_sigma_s, _FLAGS[flags],
        ))
        # fmt: on
    return None


# -- what is surely right ----------------------------------------------------------------------------------------------


def plausible(
    coherence: float,
    n_eff: float,
    p: float,
    omega: float,
    omega_sigma: float,
    phase_sigma: float,
    clock_sigma_s: float,
) -> bool:
    """Tell whether the figures are finite and in range: what the general way checks one by one."""
    return (
        0.0 <= coherence <= 1.0
        and 1.0 <= n_eff <= FLOAT32
        and 0.0 <= p <= 1.0
        and -OMEGA <= omega <= OMEGA
        and 0.0 <= omega_sigma <= FLOAT32
        and 0.0 <= phase_sigma <= FLOAT32
        and 0.0 <= clock_sigma_s <= FLOAT32
    )


def short(real: float, imaginary: float) -> bool:
    """Tell whether a sample is finite and surely within the unit disc."""
    return real * real + imaginary * imaginary <= _SURELY_SHORT


def spaced(spacing_us: float) -> bool:
    """Tell whether samples may be so far apart."""
    return SPACING_US[0] <= spacing_us <= SPACING_US[1]


def sound(samples: bytes) -> bool:
    """Tell whether these are the samples of a block, all finite and surely within the unit disc."""
    if len(samples) % SAMPLE.size or not 2 <= len(samples) // SAMPLE.size <= MAX_SAMPLES:
        return False
    # What is not below 2 could overflow in what follows, and numpy would warn.
    if samples[3::4].translate(None, _BELOW_TWO):
        return False
    return bool(np.maximum.reduce(np.abs(np.frombuffer(samples, "<c8"))) <= _SURELY_SHORT**0.5)


# -- shapes ------------------------------------------------------------------------------------------------------------


def _counted(start: Sequence[bytes | None], end: Heads, required: int) -> bool:
    """Tell whether the map's head counts the entries: those that are required, a resonance and a MAC."""
    *_, resonance, _clock, _flags, mac = end
    return start[0] == head(MAP, required + (resonance is not None) + (mac is not None))


def _start_shape(heads: Sequence[bytes | None]) -> str:
    _map, boot, seq = heads
    return f"x{_uint_shape(boot)}{_uint_shape(seq)}2xQ"


def _end_shape(heads: Heads) -> str:
    *figures, resonance, clock_sigma, flags, mac = heads
    pair = f"4x{SAMPLE.size}s" if resonance else "0s"
    last = f"{_float_shape(clock_sigma)}{_uint_shape(flags)}{'18x' if mac else ''}"
    return "".join(map(_float_shape, figures)) + pair + last


def _uint_shape(first: bytes | None) -> str:
    """Key, head and value; what is below 24 stands in the head."""
    return "xB" if first is None else "2x" + _WIDTHS[first]


def _float_shape(half: bytes | None) -> str:
    return "2xe" if half else "2xf"
