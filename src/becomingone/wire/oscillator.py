"""The oscillator frame: a node's control phase in one band, topic ``node/<node>/oscillator/<band>``.

The mesh entrains a control oscillator and outputs follow it (`becomingone.kairos.mesh.coupling`). It is no evidence:
what is computed from sensors comes in phase frames only, and this never enters a coherence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.fields import INT63, OMEGA, PHASE, UINT32, bounded, integer, required, single


@dataclass(frozen=True, slots=True, kw_only=True)
class OscillatorFrame:
    """A control oscillator at one instant.

    Parameters
    ----------
    boot : int
        The node's boot id, 32 bits.
    seq : int
        Number of the frame within the band and boot, 64 bits, from 0.
    time_us : int
        Mesh time of the phase, µs since the Unix epoch, 0..2⁶³−1.
    phase : float
        θ, rad, −π..π.
    natural_omega : float
        The oscillator's own rate, rad/s, −10⁹..10⁹.
    effective_omega : float
        Its rate as entrained, rad/s, −10⁹..10⁹: at which it goes on without a field.
    entrained : bool
        Whether a field of the mesh drove its last step; else it coasts.
    """

    boot: int
    seq: int
    time_us: int
    phase: float
    natural_omega: float
    effective_omega: float
    entrained: bool


def encode_oscillator(frame: OscillatorFrame) -> bytes:
    """Encode a frame; equal ones give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_oscillator` would refuse it for.
    """
    fields: dict[int, Any] = {
        1: frame.boot,
        2: frame.seq,
        3: frame.time_us,
        4: single(frame.phase, "phase"),
        5: single(frame.natural_omega, "natural_omega"),
        6: single(frame.effective_omega, "effective_omega"),
        7: frame.entrained,
    }
    _read(fields)
    return cbor.encode(fields)


def decode_oscillator(payload: bytes) -> OscillatorFrame:
    """Decode and check a frame.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _read(cbor.decode(payload))


def _read(fields: Mapping[int, Any]) -> OscillatorFrame:
    entrained: object = required(fields, 7, "entrained")
    if not isinstance(entrained, bool):
        raise FrameError("type", f"entrained must be true or false, not {type(entrained).__name__}")
    return OscillatorFrame(
        boot=integer(fields, 1, "boot", most=UINT32),
        seq=integer(fields, 2, "seq"),
        time_us=integer(fields, 3, "time_us", most=INT63),
        phase=bounded(fields, 4, "phase", -PHASE, PHASE),
        natural_omega=bounded(fields, 5, "natural_omega", -OMEGA, OMEGA),
        effective_omega=bounded(fields, 6, "effective_omega", -OMEGA, OMEGA),
        entrained=entrained,
    )
