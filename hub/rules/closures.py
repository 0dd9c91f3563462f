"""What the parts of an expression do when it is evaluated: a finite number, or `Undefined`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from becomingone.hub.rules.errors import Undefined
from becomingone.hub.rules.view import Scope

Run: TypeAlias = Callable[[Scope], float]
"""Evaluates a part; a truth is 1.0 or 0.0."""

Test: TypeAlias = tuple[Callable[[float, float], bool], float]
"""A comparison, and in which direction its right side gives way by the scope's slack: 1, −1 or 0."""


def combined(symbol: str, do: Callable[[float, float], float], one: Run, other: Run) -> Run:
    """Give the result of an operator."""

    def run(scope: Scope) -> float:
        value = do(one(scope), other(scope))
        if not _finite(value):
            raise Undefined(f"{symbol} gives too large a number")
        return value

    return run


def raised(base: Run, exponent: float) -> Run:
    """Give a power."""
    whole = exponent == int(exponent)

    def run(scope: Scope) -> float:
        value = base(scope)
        if value < 0.0 and not whole:
            raise Undefined("a root of a negative number")
        try:
            result = float(value**exponent)
        except OverflowError:
            result = math.inf
        if not _finite(result):
            raise Undefined("** gives too large a number")
        return result

    return run


def compared(sides: list[Run], tests: list[Test]) -> Run:
    """Give whether all comparisons of a chain hold; each side is evaluated once, and only as far as it is needed."""
    if len(tests) == 1:
        one, other = sides
        ((test, ease),) = tests
        return lambda scope: float(test(one(scope), other(scope) + ease * scope.slack))

    def run(scope: Scope) -> float:
        left = sides[0](scope)
        for side, (test, ease) in zip(sides[1:], tests, strict=True):
            right = side(scope)
            if not test(left, right + ease * scope.slack):
                return 0.0
            left = right
        return 1.0

    return run


def applied(name: str, do: Callable[..., float], parts: list[Run]) -> Run:
    """Give what a function gives."""

    def run(scope: Scope) -> float:
        try:
            value = do(*(part(scope) for part in parts))
        except (ValueError, OverflowError):
            raise Undefined(f"{name} has no value there") from None
        if not _finite(value):
            raise Undefined(f"{name} gives too large a number")
        return float(value)

    return run


def _finite(value: float) -> bool:
    return -math.inf < value < math.inf
