"""The phase frame as bytes: one CBOR map with small integer keys; ``docs/protocol.md`` holds its CDDL.

What our own encoder writes is written and recognised at once (`becomingone.wire.layout`). Everything else goes the
general way, item by item and field by field: what others encode differently, and all that is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.arrays import SAMPLE, one_sample, read_sample, read_samples, typed_array
from becomingone.wire.compose import compose
from becomingone.wire.fields import FLOAT32, INT63, OMEGA, UINT32, bounded, integer, number, required, single
from becomingone.wire.layout import recognise
from becomingone.wire.phase import MAX_SAMPLES, SPACING_US, Flags, PhaseFrame

__all__ = ["MAX_SAMPLES", "PROTOCOL", "Flags", "PhaseFrame", "decode_frame", "encode_frame"]

PROTOCOL: Final = 1
"""The version of the protocol, announced in ``about``."""


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
    return compose(frame) or _encode(frame)


def decode_frame(payload: bytes) -> PhaseFrame:
    """Decode and check a frame; unknown keys are ignored.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return recognise(payload) or _read(cbor.decode(payload))


def _encode(frame: PhaseFrame) -> bytes:
    fields: dict[int, Any] = {
        _Key.BOOT: frame.boot,
        _Key.SEQ: frame.seq,
        _Key.TIME: frame.time_us,
        _Key.PHASORS: typed_array(frame.samples),
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
        fields[_Key.RESONANCE] = one_sample(frame.resonance, "resonance")
    _read(fields)
    return cbor.encode(fields)


def _read(fields: Mapping[int, Any]) -> PhaseFrame:
    samples = read_samples(required(fields, _Key.PHASORS, "phasors"), "phasors", MAX_SAMPLES)
    spacing = _optional_spacing(fields)
    if (spacing is None) != (len(samples) == SAMPLE.size):
        raise FrameError("missing", "spacing_us belongs to a block of two samples or more, and to no other")
    return PhaseFrame._make(
        (
            integer(fields, _Key.BOOT, "boot", most=UINT32),
            integer(fields, _Key.SEQ, "seq"),
            integer(fields, _Key.TIME, "time_us", most=INT63),
            spacing,
            samples,
            bounded(fields, _Key.COHERENCE, "coherence", 0.0, 1.0),
            bounded(fields, _Key.N_EFF, "n_eff", 1.0, FLOAT32),
            bounded(fields, _Key.P, "p", 0.0, 1.0),
            bounded(fields, _Key.OMEGA, "omega", -OMEGA, OMEGA),
            bounded(fields, _Key.OMEGA_SIGMA, "omega_sigma", 0.0, FLOAT32),
            bounded(fields, _Key.PHASE_SIGMA, "phase_sigma", 0.0, FLOAT32),
            _optional_resonance(fields),
            bounded(fields, _Key.CLOCK_SIGMA, "clock_sigma_s", 0.0, FLOAT32),
            Flags(integer(fields, _Key.FLAGS, "flags", most=UINT32)),
        )
    )


def _optional_spacing(fields: Mapping[int, Any]) -> float | None:
    if _Key.SPACING not in fields:
        return None
    return number(fields[_Key.SPACING], "spacing_us", least=SPACING_US[0], most=SPACING_US[1])


def _optional_resonance(fields: Mapping[int, Any]) -> complex | None:
    return read_sample(fields[_Key.RESONANCE], "resonance") if _Key.RESONANCE in fields else None
