"""What an expression consists of: parts that have been checked, the operators between them, what they look at."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from becomingone.hub.rules.closures import Run
from becomingone.hub.rules.units import FREE, Unit


def _divided(one: float, other: float) -> float:
    return one / other


def _raised(one: float, other: float) -> float:
    return float(one**other)


ARITHMETIC: Final[dict[type[ast.operator], tuple[str, Callable[[float, float], float]]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", _divided),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", _raised),
}
"""Operators: how they are written, and what they do."""
ORDER: Final[dict[type[ast.cmpop], tuple[Callable[[float, float], bool], float]]] = {
    ast.Lt: (operator.lt, 1.0),
    ast.LtE: (operator.le, 1.0),
    ast.Gt: (operator.gt, -1.0),
    ast.GtE: (operator.ge, -1.0),
}
"""Comparisons of order, and which way their right side gives way where they are eased."""
EQUAL: Final[dict[type[ast.cmpop], Callable[[float, float], bool]]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
"""Comparisons that are never eased."""


@dataclass(slots=True)
class Uses:
    """What an expression looks at.

    Parameters
    ----------
    bands : set of str
        The bands that it names.
    band : bool
        Whether it looks at the rule's own band, too.
    figures : bool
        Whether it reads what any frame of that band may change: its figures, or those of the cell.
    nodes : set of str
        Nodes whose frames in that band change it; "" is the output's own.
    own : bool
        Whether it looks at the output's own node: its value differs from node to node.
    clock : bool
        Whether it looks at the time of day.
    comparisons : list of int
        For each comparison of order: 1, or −1 within a ``not``, or 0 where easing it may go either way.
    """

    bands: set[str] = field(default_factory=set[str])
    band: bool = False
    figures: bool = False
    nodes: set[str] = field(default_factory=set[str])
    own: bool = False
    clock: bool = False
    comparisons: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Part:
    """A checked part of an expression."""

    run: Run
    kind: Literal["truth", "number"]
    unit: Unit = FREE
    written: float | None = None
    """Its value, where it is a written number."""
