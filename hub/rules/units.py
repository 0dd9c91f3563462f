"""Units of numbers in expressions: exponents of radian, second and degree."""

from __future__ import annotations

from typing import Final, TypeAlias

Unit: TypeAlias = "tuple[int, int, int] | None"
"""Exponents of rad, s and degree; None: a written number, which takes on whatever unit it is held against."""

FREE: Final[Unit] = None
PLAIN: Final[Unit] = (0, 0, 0)
RAD: Final[Unit] = (1, 0, 0)
SECOND: Final[Unit] = (0, 1, 0)
RAD_PER_S: Final[Unit] = (1, -1, 0)
HERTZ: Final[Unit] = (0, -1, 0)
DEGREE: Final[Unit] = (0, 0, 1)

_NAMES: Final[dict[Unit, str]] = {
    FREE: "a number",
    PLAIN: "a plain number",
    RAD: "in rad",
    SECOND: "in s",
    RAD_PER_S: "in rad/s",
    HERTZ: "in Hz",
    DEGREE: "in degrees",
}
_SYMBOLS: Final = ("rad", "s", "degree")


def spelled(unit: Unit) -> str:
    """Write a unit as a message does: ``in rad/s``."""
    if unit in _NAMES:
        return _NAMES[unit]
    powers = [f"{symbol}^{power}" for symbol, power in zip(_SYMBOLS, unit or (), strict=True) if power]
    return f"in {'·'.join(powers)}"


def agreed(units: list[Unit]) -> tuple[bool, Unit]:
    """Tell whether numbers may be added or compared, and what unit that gives."""
    found = {unit for unit in units if unit is not None}
    return len(found) <= 1, next(iter(found), FREE)


def product(one: Unit, other: Unit, sign: int = 1) -> Unit:
    """Give the unit of a product, or with a `sign` of −1 of a quotient."""
    if one is None and other is None:
        return FREE
    left, right = one or (0, 0, 0), other or (0, 0, 0)
    return (left[0] + sign * right[0], left[1] + sign * right[1], left[2] + sign * right[2])


def power(unit: Unit, exponent: float) -> Unit | str:
    """Give the unit of a power; a text where it has none."""
    if unit is None:
        return FREE
    raised = [part * exponent for part in unit]
    if any(part != int(part) for part in raised):
        return f"what is {spelled(unit)} has no power of {exponent:g}"
    return (int(raised[0]), int(raised[1]), int(raised[2]))
