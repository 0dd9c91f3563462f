"""What a field means for an output, by the documents' mappings: the same on the hub and on a node that is alone.

The documents' phases lie in 0..1, the kernel's in −1..1: x = (1 + Re T)/2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

MOTOR: Final = "motor"
"""The role that moves something."""

SPEAKER_HZ: Final = 440.0
"""A speaker's lowest tone and its span, Hz: from 440 to 880."""


def values_for(role: str, field: complex, coherence: float) -> Mapping[str, float]:
    """Give the values of an output.

    Parameters
    ----------
    role : str
        ``display``: hue 360·x degrees, brightness the coherence. ``speaker``: frequency 440 + 440·x Hz, volume the
        coherence. ``motor``: velocity Re T, rotation Im T; whether it may move at all is for the caller to know.
    field : complex
        T = C·u: a phase, and as its modulus, 0..1, how much is behind it.
    coherence : float
        C, 0..1.

    Returns
    -------
    mapping of str to float
        Within the role's ranges (`becomingone.wire.command.RANGES`) whatever rounding has done to the field.

    Raises
    ------
    ValueError
        There is no such role.

    Examples
    --------
    >>> values_for("display", 0.5 + 0j, 0.5)
    {'hue': 270.0, 'brightness': 0.5}
    """
    mapping = _MAPPINGS.get(role)
    if mapping is None:
        msg = f"a role is one of {', '.join(_MAPPINGS)}, not {role!r}"
        raise ValueError(msg)
    return mapping(field, coherence)


def _within(value: float, least: float, most: float) -> float:
    return min(most, max(least, value))


def _display(field: complex, coherence: float) -> Mapping[str, float]:
    return {"hue": 360.0 * _x(field), "brightness": _within(coherence, 0.0, 1.0)}


def _speaker(field: complex, coherence: float) -> Mapping[str, float]:
    return {"frequency": SPEAKER_HZ + SPEAKER_HZ * _x(field), "volume": _within(coherence, 0.0, 1.0)}


def _motor(field: complex, _coherence: float) -> Mapping[str, float]:
    return {"velocity": _within(field.real, -1.0, 1.0), "rotation": _within(field.imag, -1.0, 1.0)}


def _x(field: complex) -> float:
    return _within((1.0 + field.real) / 2.0, 0.0, 1.0)


_MAPPINGS: Final[Mapping[str, Callable[[complex, float], Mapping[str, float]]]] = {
    "display": _display,
    "speaker": _speaker,
    MOTOR: _motor,
}
