"""A phase frame to bytes and back, with all checks, against the CBOR library alone on the same map."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cbor2
import numpy as np

from becomingone.bench.report import Report, Row
from becomingone.bench.timing import Paired, paired
from becomingone.wire.frame import Flags, PhaseFrame, decode_frame, encode_frame
from becomingone.wire.seal import seal

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_RATIO: Final = 2.0
MOST_BYTES: Final = 96
MOST_SEALED_BYTES: Final = 114
BLOCK: Final = 100

JSON: Final[dict[str, Any]] = {
    "node_id": "PiZero-0",
    "phase": {"real": 0.7, "imag": 0.5},
    "coherence": 0.85,
    "timestamp": "2026-02-19T23:00:00Z",
}
"""What the documents have a node broadcast: less than a frame says, and 106 bytes."""

_TOPIC: Final = "becomingone/home/node/leg/phase/stride/thigh_x"


def run(*, rounds: int = 300, calls: int = 100) -> Report:
    """Measure frames of one sample, everyday, longest and without a rhythm, and of a hundred samples.

    Parameters
    ----------
    rounds, calls : int
        As for :func:`becomingone.bench.timing.paired`.
    """
    rows: list[Row] = []
    for frame in (_everyday(), _longest(), _silent(), _block(BLOCK)):
        rows += _rows(frame, rounds, calls)
    return Report("codec", [*rows, *_sizes(), _others(rounds, calls)])


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    frame: PhaseFrame


def _rows(case: _Case, rounds: int, calls: int) -> list[Row]:
    frame, payload = case.frame, encode_frame(case.frame)
    sealed = seal(bytes(32), _TOPIC, payload, frame.boot)
    content: dict[int, Any] = cbor2.loads(payload)
    samples = len(frame.samples) // 8
    bounded = samples == 1
    made = _mean(lambda: encode_frame(_made_anew(frame)), rounds, calls)
    out = paired(lambda: cbor2.dumps(content), lambda: encode_frame(frame), rounds=rounds, calls=calls)
    back = paired(lambda: cbor2.loads(payload), lambda: decode_frame(payload), rounds=rounds, calls=calls)
    with_mac = paired(lambda: cbor2.loads(sealed), lambda: decode_frame(sealed), rounds=rounds, calls=calls)
    more = {} if bounded else {"samples/s": samples / back.ours_s}
    return [
        _row(f"encode {case.name}", out, {"us from an array": made * 1e6}, bounded=bounded),
        _row(f"decode {case.name}", back, more, bounded=bounded),
        _row(f"decode {case.name} and an unread MAC", with_mac, {}, bounded=bounded),
    ]


def _row(name: str, timing: Paired, more: dict[str, float], *, bounded: bool) -> Row:
    target = f"at most {MOST_RATIO:g} x cbor2" if bounded else "reported"
    ok = not bounded or timing.ratio <= MOST_RATIO
    return Row(name, "us", timing.baseline_s * 1e6, timing.ours_s * 1e6, timing.ratio, target, ok, more)


def _sizes() -> list[Row]:
    """Bytes, beside the documents' JSON without a space."""
    theirs = len(json.dumps(JSON, separators=(",", ":")))
    longest = encode_frame(_longest().frame)
    sealed = seal(bytes(32), _TOPIC, longest, 0)
    everyday = {"everyday": float(len(encode_frame(_everyday().frame)))}
    return [
        _size("longest frame of one sample", theirs, len(longest), MOST_BYTES, everyday),
        _size("the same with its MAC", theirs, len(sealed), MOST_SEALED_BYTES, {}),
    ]


def _size(name: str, theirs: int, ours: int, most: int, more: dict[str, float]) -> Row:
    return Row(name, "bytes", theirs, ours, ours / theirs, f"at most {most}", ours <= most, more)


def _others(rounds: int, calls: int) -> Row:
    """Decode what another program may encode: every float a double, which only the general way takes."""
    payload = cbor2.dumps(cbor2.loads(encode_frame(_everyday().frame)))
    timing = paired(lambda: cbor2.loads(payload), lambda: decode_frame(payload), rounds=rounds, calls=-(-calls // 10))
    return _row("decode what others encode with doubles", timing, {"bytes": float(len(payload))}, bounded=False)


def _mean(call: Callable[[], object], rounds: int, calls: int) -> float:
    return paired(lambda: None, call, rounds=rounds, calls=calls).ours_s


# -- frames ------------------------------------------------------------------------------------------------------------


def _everyday() -> _Case:
    return _Case("one sample", _frame())


def _longest() -> _Case:
    """Every integer at its greatest, no float that a half holds."""
    frame = _frame()._replace(boot=2**32 - 1, seq=2**64 - 1, time_us=2**63 - 1, n_eff=123.456, flags=Flags(127))
    return _Case("the longest of one sample", frame)


def _silent() -> _Case:
    """No rhythm: every float is a half, which costs the encoder most."""
    frame = _frame()._replace(coherence=0.0, n_eff=1.0, p=1.0, omega=0.0, omega_sigma=0.0, phase_sigma=0.0)
    return _Case("one sample without a rhythm", frame._replace(clock_sigma_s=0.0, resonance=None, flags=Flags.NONE))


def _block(samples: int) -> _Case:
    phasors = np.exp(1j * np.linspace(0.0, 6.0, samples)).astype(np.complex64)
    return _Case(f"{samples} samples", _frame()._replace(samples=phasors.tobytes(), spacing_us=1000.0))


def _frame() -> PhaseFrame:
    return PhaseFrame(
        boot=7,
        seq=4_000,
        time_us=1_767_225_600_000_000,
        phasors=np.exp(np.array([0.5j])).astype(np.complex64),
        coherence=0.93,
        n_eff=6.875,
        p=0.0023,
        omega=9.4247,
        omega_sigma=0.0125,
        phase_sigma=0.08,
        clock_sigma_s=0.01,
        flags=Flags.VALID,
        resonance=0.81 + 0.33j,
    )


def _made_anew(frame: PhaseFrame) -> PhaseFrame:
    """Make a frame as a node does: from an array and named figures."""
    return PhaseFrame(
        boot=frame.boot,
        seq=frame.seq,
        time_us=frame.time_us,
        phasors=frame.phasors,
        spacing_us=frame.spacing_us,
        coherence=frame.coherence,
        n_eff=frame.n_eff,
        p=frame.p,
        omega=frame.omega,
        omega_sigma=frame.omega_sigma,
        phase_sigma=frame.phase_sigma,
        clock_sigma_s=frame.clock_sigma_s,
        flags=frame.flags,
        resonance=frame.resonance,
    )
