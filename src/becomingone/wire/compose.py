"""A phase frame written at once in the one layout that it has when encoded deterministically (RFC 8949, 4.2)."""

from __future__ import annotations

import struct
from typing import Final

from becomingone.wire.arrays import SAMPLE
from becomingone.wire.cbor import BYTES, MAP, SINGLE, head, shortest, uint
from becomingone.wire.fields import INT63, UINT32, UINT64
from becomingone.wire.layout import ARRAY, ONE_SAMPLE, plausible, short, sound, spaced
from becomingone.wire.phase import PhaseFrame

_FIGURES: Final = struct.Struct(">7f")
_AS_SINGLES: Final = struct.Struct(">2sf2sf2sf2sf2sf2sf")
_KEYS: Final = tuple((bytes((key,)), 4 * place) for place, key in enumerate(range(6, 12)))


def compose(frame: PhaseFrame) -> bytes | None:
    """Write a frame; None for one that is not surely right, which the general way then refuses or writes."""
    (boot, seq, time_us, spacing_us, samples, coherence, n_eff, p, omega, omega_sigma, phase_sigma, resonance,
     clock_sigma_s, flags) = frame  # fmt: skip
    several = spacing_us is not None
    if not (
        (type(boot) is type(seq) is type(time_us) is int)
        and 0 <= boot <= UINT32
        and 0 <= seq <= UINT64
        and 0 <= time_us <= INT63
        and 0 <= flags <= UINT32
        and (sound(samples) if several else len(samples) == SAMPLE.size and short(*SAMPLE.unpack(samples)))
        and (resonance is None or short(resonance.real, resonance.imag))
    ):
        return None
    try:
        raw = _FIGURES.pack(coherence, n_eff, p, omega, omega_sigma, phase_sigma, clock_sigma_s)
        spacing = SINGLE.pack(spacing_us) if several else b""
    except (OverflowError, struct.error):
        return None
    if not plausible(*_FIGURES.unpack(raw)) or (several and not spaced(*SINGLE.unpack(spacing))):
        return None
    if 0 in raw[3:24:4]:
        figures = b"".join([key + shortest(raw[at : at + 4]) for key, at in _KEYS])
    else:  # none is short enough for a half
        # fmt: off
        figures = _AS_SINGLES.pack(
            b"\x06\xfa", coherence, b"\x07\xfa", n_eff, b"\x08\xfa", p,
            b"\x09\xfa", omega, b"\x0a\xfa", omega_sigma, b"\x0b\xfa", phase_sigma,
        )
        # fmt: on
    return b"".join(
        (
            head(MAP, 12 + several + (resonance is not None)),
            b"\x01",
            uint(boot),
            b"\x02",
            uint(seq),
            b"\x03",
            uint(time_us),
            b"\x04" + shortest(spacing) + b"\x05" + ARRAY + head(BYTES, len(samples))
            if several
            else b"\x05" + ONE_SAMPLE,
            samples,
            figures,
            b"" if resonance is None else b"\x0c" + ONE_SAMPLE + SAMPLE.pack(resonance.real, resonance.imag),
            b"\x0d",
            shortest(raw[24:]),
            b"\x0e",
            uint(int(flags)),
        )
    )
