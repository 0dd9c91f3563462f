"""What a fault did: figures, each with its bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


class NotRunError(Exception):
    """This machine lacks what it takes; the reason is the message."""


@dataclass(frozen=True)
class Figure:
    """One number that was measured; without a bound it is only told."""

    name: str
    value: float
    unit: str = ""
    relation: Literal["", "=", "<=", ">="] = ""
    bound: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it keeps its bound; a number that is none (NaN) never does."""
        if self.relation == "=":
            return self.value == self.bound
        if self.relation == "<=":
            return self.value <= self.bound
        if self.relation == ">=":
            return self.value >= self.bound
        return True


def exactly(name: str, value: float, bound: float, unit: str = "") -> Figure:
    return Figure(name, value, unit, "=", bound)


def at_most(name: str, value: float, bound: float, unit: str = "") -> Figure:
    return Figure(name, value, unit, "<=", bound)


def at_least(name: str, value: float, bound: float, unit: str = "") -> Figure:
    return Figure(name, value, unit, ">=", bound)


def told(name: str, value: float, unit: str = "") -> Figure:
    return Figure(name, value, unit)


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Parameters
    ----------
    times : int
        How often it happened.
    figures : sequence of Figure
        What was measured.
    simulation : bool
        It happened in virtual time.
    """

    times: int
    figures: Sequence[Figure]
    simulation: bool = False

    @property
    def ok(self) -> bool:
        return self.times > 0 and bool(self.figures) and all(figure.ok for figure in self.figures)


@dataclass(frozen=True)
class Case:
    """A line of the table.

    Parameters
    ----------
    name : str
        What ``--only`` calls it.
    fault : str
        What is done to the node, in words.
    run : callable
        Does it: once in full, or quickly (about a tenth), and gives the outcome.
    """

    name: str
    fault: str
    run: Callable[[bool], Outcome]


def quantile(values: Sequence[float], part: float) -> float:
    """Give the value below which a part of all lies; NaN where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")
