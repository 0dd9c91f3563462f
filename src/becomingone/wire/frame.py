"""The phase frame: what a node says about one channel in one band.

One CBOR map with small integer keys; ``docs/protocol.md`` holds its CDDL. Node, band and channel come from the
topic, never from the payload.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
import numpy as np
from numpy.typing import NDArray

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.fields import FLOAT32, INT63, UINT32, integer, number, required, single

PROTOCOL: Final = 1
"""The version of the protocol, announced in ``about``."""

MAX_SAMPLES: Final = 65_536
"""Complex samples in one frame."""

_MAX_MODULUS: Final = 1.0 + 1e-5  # a unit phasor after rounding to float32


class Flags(enum.IntFlag):
    """What a receiver must know about a frame before it uses it.

    ``VALID``: the last sample's phase is defined. ``HISTORICAL``: sent late, for the memory, never for the live
    state. ``REPLAYED``, ``SIMULATED``: not from the world now. ``GAP``: the stream was interrupted within or just
    before the block. ``SATURATED``: a sample touched an end of the sensor's range. ``UNDECIDABLE``: the effective
    number of samples does not suffice for any coherence to be significant at the node's false-alarm probability.
    """

    NONE = 0
    VALID = 1
    HISTORICAL = 2
    REPLAYED = 4
    SIMULATED = 8
    GAP = 16
    SATURATED = 32
    UNDECIDABLE = 64


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PhaseFrame:
    """A block of phases of one channel in one band.

    Parameters
    ----------
    boot : int
        The node's boot id, 32 bits, a counter that only grows.
    seq : int
        The frame's number within the channel, band and boot, from 0.
    time_us : int
        Mesh time of the first sample, µs since the Unix epoch.
    phasors : ndarray of complex64, shape (n_samples,)
        e^{iφ} of each sample, of modulus at most 1; 0 where the phase is undefined. 1 to `MAX_SAMPLES` samples.
    spacing_us : float or None
        µs between samples; required above one sample, absent otherwise.
    coherence : float
        Local coherence at the last sample, 0..1, corrected for its bias.
    n_eff : float
        Effective number of independent samples behind it, at least 1.
    p : float
        Probability of such a coherence without any rhythm, 0..1.
    omega, omega_sigma : float
        Measured angular frequency and its standard deviation, rad/s.
    phase_sigma : float
        Standard deviation of the last phase, rad.
    clock_sigma_s : float
        Standard deviation of the node's clock against the mesh's, s.
    flags : Flags
        See `Flags`.
    resonance : complex or None
        T_τ at the band's lag, of modulus at most 1, where it is defined.
    """

    boot: int
    seq: int
    time_us: int
    phasors: NDArray[np.complex64]
    spacing_us: float | None = None
    coherence: float
    n_eff: float
    p: float
    omega: float
    omega_sigma: float
    phase_sigma: float
    clock_sigma_s: float
    flags: Flags
    resonance: complex | None = None

    @property
    def last_time_us(self) -> float:
        """Mesh time of the last sample, µs since the Unix epoch."""
        return self.time_us + (len(self.phasors) - 1) * (self.spacing_us or 0.0)


class _Key(enum.IntEnum):
    BOOT = 1
    SEQ = 2
    TIME = 3
    SPACING = 4
    PHASORS = 5
    COHERENCE = 6
    N_EFF = 7
    P = 8
    OMEGA = 9
    OMEGA_SIGMA = 10
    PHASE_SIGMA = 11
    RESONANCE = 12
    CLOCK_SIGMA = 13
    FLAGS = 14


def encode_frame(frame: PhaseFrame) -> bytes:
    """Encode a frame; equal frames give equal bytes.

    Raises
    ------
    FrameError
        When the frame breaks a rule that `decode_frame` would refuse it for.
    """
    fields: dict[int, Any] = {
        _Key.BOOT: frame.boot,
        _Key.SEQ: frame.seq,
        _Key.TIME: frame.time_us,
        _Key.PHASORS: _array(frame.phasors),
        _Key.COHERENCE: single(frame.coherence, "coherence"),
        _Key.N_EFF: single(frame.n_eff, "n_eff"),
        _Key.P: single(frame.p, "p"),
        _Key.OMEGA: single(frame.omega, "omega"),
        _Key.OMEGA_SIGMA: single(frame.omega_sigma, "omega_sigma"),
        _Key.PHASE_SIGMA: single(frame.phase_sigma, "phase_sigma"),
        _Key.CLOCK_SIGMA: single(frame.clock_sigma_s, "clock_sigma_s"),
        _Key.FLAGS: int(frame.flags),
    }
    if frame.spacing_us is not None:
        fields[_Key.SPACING] = single(frame.spacing_us, "spacing_us")
    if frame.resonance is not None:
        fields[_Key.RESONANCE] = _array(np.array([frame.resonance], np.complex64))
    _read(fields)
    return cbor.encode(fields)


def decode_frame(payload: bytes) -> PhaseFrame:
    """Decode and check a frame; unknown keys are ignored.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _read(cbor.decode(payload))


def _read(fields: Mapping[int, Any]) -> PhaseFrame:
    phasors = _phasors(required(fields, _Key.PHASORS, "phasors"), "phasors", MAX_SAMPLES)
    spacing = _optional_spacing(fields)
    if (spacing is None) != (len(phasors) == 1):
        raise FrameError("missing", "spacing_us belongs to a block of two samples or more, and to no other")
    return PhaseFrame(
        boot=integer(fields, _Key.BOOT, "boot", most=UINT32),
        seq=integer(fields, _Key.SEQ, "seq"),
        time_us=integer(fields, _Key.TIME, "time_us", most=INT63),
        phasors=phasors,
        spacing_us=spacing,
        coherence=_bounded(fields, _Key.COHERENCE, "coherence", 0.0, 1.0),
        n_eff=_bounded(fields, _Key.N_EFF, "n_eff", 1.0, FLOAT32),
        p=_bounded(fields, _Key.P, "p", 0.0, 1.0),
        omega=_bounded(fields, _Key.OMEGA, "omega", -1e9, 1e9),
        omega_sigma=_bounded(fields, _Key.OMEGA_SIGMA, "omega_sigma", 0.0, FLOAT32),
        phase_sigma=_bounded(fields, _Key.PHASE_SIGMA, "phase_sigma", 0.0, FLOAT32),
        clock_sigma_s=_bounded(fields, _Key.CLOCK_SIGMA, "clock_sigma_s", 0.0, FLOAT32),
        flags=Flags(integer(fields, _Key.FLAGS, "flags", most=UINT32)),
        resonance=_optional_resonance(fields),
    )


def _optional_spacing(fields: Mapping[int, Any]) -> float | None:
    if _Key.SPACING not in fields:
        return None
    return number(fields[_Key.SPACING], "spacing_us", least=1e-3, most=1e15)


def _optional_resonance(fields: Mapping[int, Any]) -> complex | None:
    if _Key.RESONANCE not in fields:
        return None
    return complex(_phasors(fields[_Key.RESONANCE], "resonance", 1)[0])


def _bounded(fields: Mapping[int, Any], key: int, name: str, least: float, most: float) -> float:
    return number(required(fields, key, name), name, least=least, most=most)


def _array(values: NDArray[np.complex64]) -> cbor2.CBORTag:
    return cbor2.CBORTag(cbor.FLOAT32_ARRAY, np.ascontiguousarray(values, "<c8").tobytes())


def _phasors(value: object, name: str, most: int) -> NDArray[np.complex64]:
    if not isinstance(value, cbor2.CBORTag) or not isinstance(value.value, bytes):
        raise FrameError("type", f"{name} must be a float32 typed array (tag 85)")
    data = value.value
    if len(data) % 8 or not data:
        raise FrameError("range", f"{name} must hold pairs (re, im) of float32, not {len(data)} bytes")
    if len(data) > 8 * most:
        raise FrameError("too_long", f"{name} must hold at most {most} complex samples, not {len(data) // 8}")
    array = np.frombuffer(data, "<c8")
    if not np.isfinite(array).all():
        raise FrameError("not_finite", f"{name} must be finite")
    largest = float(np.abs(array.astype(np.complex128)).max())  # as singles, two huge parts would overflow
    if largest > _MAX_MODULUS:
        raise FrameError("range", f"{name} must have a modulus of at most 1, not {largest:g}")
    return array.astype(np.complex64, copy=False)
