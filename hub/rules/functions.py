"""The functions that an expression may call: how many numbers each takes, of which units, and what it gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from becomingone.hub.rules.errors import Undefined
from becomingone.hub.rules.units import DEGREE, FREE, HERTZ, PLAIN, RAD, RAD_PER_S, Unit, agreed, spelled

Judge: TypeAlias = Callable[[list[Unit]], "Unit | str"]
"""Gives the unit of the result, or a text that says what is wrong with those of the arguments."""

TURN: Final = 2.0 * math.pi


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Parameters
    ----------
    run : callable
        What it does with floats; raises `Undefined`, ``ValueError`` or ``OverflowError`` where it has no value.
    least, most : int
        How many numbers it takes.
    judge : callable
        Judges the units.
    signature, meaning : str
        For people.
    """

    run: Callable[..., float]
    least: int
    most: int
    judge: Judge
    signature: str
    meaning: str


def _same(units: list[Unit]) -> Unit | str:
    fits, unit = agreed(units)
    return unit if fits else f"must be of one kind, not {' and '.join(spelled(one) for one in units)}"


def _only(wanted: Unit, gives: Unit, hint: str = "") -> Judge:
    def judge(units: list[Unit]) -> Unit | str:
        wrong = next((unit for unit in units if unit not in (wanted, FREE, PLAIN)), FREE)
        if wrong is FREE:
            return gives
        return f"takes what is {spelled(wanted)}, not {spelled(wrong)}{hint}"

    return judge


def _plain_same(units: list[Unit]) -> Unit | str:
    found = _same(units)
    return found if isinstance(found, str) else PLAIN


def _mixed(units: list[Unit]) -> Unit | str:
    found = _same(units[:2])
    if isinstance(found, str):
        return found
    return found if units[2] in (PLAIN, FREE) else f"takes a plain number as its third, not one {spelled(units[2])}"


def _angle_of(units: list[Unit]) -> Unit | str:
    found = _same(units)
    return found if isinstance(found, str) else RAD


def _root(units: list[Unit]) -> Unit | str:
    return units[0] if units[0] in (PLAIN, FREE) else f"takes a plain number, not one {spelled(units[0])}"


def _clamp(value: float, low: float, high: float) -> float:
    return max(low, min(high, value))


def _lerp(start: float, end: float, part: float) -> float:
    part = max(0.0, min(1.0, part))
    return start * (1.0 - part) + end * part


def _smoothstep(low: float, high: float, value: float) -> float:
    if low == high:
        raise Undefined("smoothstep needs two different ends")
    part = max(0.0, min(1.0, (value - low) / (high - low)))
    return part * part * (3.0 - 2.0 * part)


def _phase(real: float, imaginary: float) -> float:
    if real == 0.0 and imaginary == 0.0:
        raise Undefined("0 has no phase")
    return math.atan2(imaginary, real)


def _apart(one: float, other: float) -> float:
    return abs(math.remainder(one - other, TURN))


def _turns(angle: float) -> float:
    return angle / TURN % 1.0 % 1.0


def _hue(angle: float) -> float:
    return 360.0 * _turns(angle)


def _hz(omega: float) -> float:
    return omega / TURN


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": Function(math.fabs, 1, 1, _same, "abs(x)", "the size of a number"),
    "min": Function(min, 2, 8, _same, "min(x, y, ...)", "the least of 2 to 8 numbers"),
    "max": Function(max, 2, 8, _same, "max(x, y, ...)", "the greatest of 2 to 8 numbers"),
    "floor": Function(math.floor, 1, 1, _same, "floor(x)", "the whole number at or below"),
    "clamp": Function(_clamp, 3, 3, _same, "clamp(x, low, high)", "x, but no less than low and no more than high"),
    "lerp": Function(_lerp, 3, 3, _mixed, "lerp(a, b, t)", "from a at t = 0 to b at t = 1; t is held to 0..1"),
    "smoothstep": Function(
        _smoothstep, 3, 3, _plain_same, "smoothstep(low, high, x)", "0 up to low, 1 from high on, smooth between"
    ),
    "sin": Function(math.sin, 1, 1, _only(RAD, PLAIN, "; rad(x) turns degrees into rad"), "sin(angle)", "sine"),
    "cos": Function(math.cos, 1, 1, _only(RAD, PLAIN, "; rad(x) turns degrees into rad"), "cos(angle)", "cosine"),
    "sqrt": Function(math.sqrt, 1, 1, _root, "sqrt(x)", "square root; no value below 0"),
    "exp": Function(math.exp, 1, 1, _root, "exp(x)", "e to the power of x"),
    "log": Function(math.log, 1, 1, _root, "log(x)", "natural logarithm; no value at 0 and below"),
    "phase": Function(_phase, 2, 2, _angle_of, "phase(re, im)", "the angle of a complex number, −π..π rad"),
    "apart": Function(_apart, 2, 2, _only(RAD, RAD), "apart(a, b)", "how far two angles are apart, 0..π rad"),
    "turns": Function(_turns, 1, 1, _only(RAD, PLAIN), "turns(angle)", "an angle as a part of a turn, 0..1"),
    "hue": Function(_hue, 1, 1, _only(RAD, DEGREE), "hue(angle)", "an angle as degrees, 0..360"),
    "deg": Function(math.degrees, 1, 1, _only(RAD, DEGREE), "deg(angle)", "rad into degrees"),
    "rad": Function(math.radians, 1, 1, _only(DEGREE, RAD), "rad(angle)", "degrees into rad"),
    "hz": Function(_hz, 1, 1, _only(RAD_PER_S, HERTZ), "hz(omega)", "rad/s into Hz"),
}
"""All of them, by name."""
