"""The names that an expression may use: of a band, a node, a pair of groups, the cell, and the time of day."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from becomingone.hub.mesh.state import BandState
from becomingone.hub.rules.errors import Undefined
from becomingone.hub.rules.units import FREE, PLAIN, RAD, RAD_PER_S, SECOND, Unit
from becomingone.hub.rules.view import Scope

Read = Callable[[Scope], float]


@dataclass(frozen=True, slots=True)
class Name:
    """What one name stands for.

    Parameters
    ----------
    unit : tuple of int or None
        Its unit.
    truth : bool
        Whether it is true or false rather than a number.
    meaning : str
        For people.
    """

    unit: Unit
    meaning: str
    truth: bool = False


def _truth(meaning: str) -> Name:
    return Name(FREE, meaning, truth=True)


CONSTANTS: Final[dict[str, tuple[Name, float]]] = {
    "pi": (Name(RAD, "half a turn"), math.pi),
    "tau": (Name(RAD, "a turn"), 2.0 * math.pi),
    "true": (_truth("always"), 1.0),
    "false": (_truth("never"), 0.0),
}

CLOCK: Final[dict[str, Name]] = {
    "hour": Name(PLAIN, "local time of day, 0..24, with the minutes as a fraction"),
    "weekday": Name(PLAIN, "0 on Monday to 6 on Sunday, local time"),
}

BAND: Final[dict[str, Name]] = {
    "valid": _truth("any channel has a phase"),
    "collapsed": _truth("the coherence has been significant for the dwell"),
    "decidable": _truth("there is enough evidence for it to be"),
    "emerged": _truth("the band has emerged"),
    "channels": Name(PLAIN, "channels with a phase"),
    "nodes": Name(PLAIN, "nodes that they belong to"),
    "coherence": Name(PLAIN, "weighted mean of the channels' coherence, 0..1"),
    "order": Name(PLAIN, "order parameter R, 0..1"),
    "order_p": Name(PLAIN, "its probability by chance"),
    "locking": Name(PLAIN, "locking order, 0..1; undefined until learnt"),
    "locking_p": Name(PLAIN, "its probability by chance"),
    "p": Name(PLAIN, "probability of the coherence by chance"),
    "n_eff": Name(PLAIN, "effective number of samples behind it"),
    "weight": Name(PLAIN, "sum of the weights"),
    "ceiling": Name(PLAIN, "greatest R that the clocks allow, 0..1"),
    "phase": Name(RAD, "phase of the mean field, −π..π rad"),
    "omega": Name(RAD_PER_S, "rate at which it goes on, rad/s"),
    "re": Name(PLAIN, "real part of the mean field, −1..1"),
    "im": Name(PLAIN, "imaginary part, −1..1"),
    "strength": Name(PLAIN, "modulus of the mean field, 0..1"),
}

NODE: Final[dict[str, Name]] = {
    "ready": _truth("the node is there and at work"),
    "valid": _truth("any of its channels has a phase in the band"),
    "coherence": Name(PLAIN, "weighted mean over its channels, 0..1"),
    "phase": Name(RAD, "phase of its channels together, −π..π rad"),
    "re": Name(PLAIN, "real part of its field, −1..1"),
    "im": Name(PLAIN, "imaginary part, −1..1"),
    "strength": Name(PLAIN, "modulus of its field, 0..1"),
    "weight": Name(PLAIN, "sum of its channels' weights"),
    "silent": Name(SECOND, "time since it was last heard, s"),
}

CELL: Final[dict[str, Name]] = {
    "valid": _truth("any band has a phase"),
    "ready": Name(PLAIN, "nodes that are there and at work"),
    "coherence": Name(PLAIN, "coherence over all bands, 0..1"),
    "order": Name(PLAIN, "order parameter over all bands, 0..1"),
    "locking": Name(PLAIN, "locking order over all bands, 0..1"),
}

WE: Final[dict[str, Name]] = {
    "one": _truth("the two groups are one in the band"),
    "coherence": Name(PLAIN, "coherence between their fields, 0..1"),
    "offset": Name(RAD, "mean phase of the one against the other, −π..π rad"),
    "p": Name(PLAIN, "probability of that coherence by chance"),
}

SETTLED: Final = frozenset({"collapsed", "emerged", "locking", "locking_p"})
"""What only a whole evaluation changes, and no frame."""

_ALWAYS: Final = frozenset({"valid", "collapsed", "decidable"})
"""What is false where there is no such band yet, and never undefined."""


def read_band(figure: str, band: str | None) -> Read:
    """Give what reads a figure of a band; None is the rule's own."""

    def found(scope: Scope) -> BandState | None:
        return scope.band if band is None else scope.view.band(band)

    if figure == "emerged":
        return lambda scope: float((state := found(scope)) is not None and state.name in scope.view.emerged)
    if figure in _ALWAYS:
        return lambda scope: float((state := found(scope)) is not None and bool(getattr(state, figure)))
    if figure in ("channels", "nodes"):
        return lambda scope: 0.0 if (state := found(scope)) is None else float(getattr(state, figure))
    turned = _TURNED.get(figure)

    def read(scope: Scope) -> float:
        state = found(scope)
        if state is None or not state.valid:
            raise Undefined(f"no channel has a phase in {band or 'the band'}")
        value = getattr(state, figure) if turned is None else turned(state.field_at(scope.view.time_us))
        if value is None:
            raise Undefined(f"{figure} is not known yet")
        return float(value)

    return read


def read_node(figure: str, node: str | None) -> Read:
    """Give what reads a figure of a node in the rule's band; None is the output's own node."""

    def read(scope: Scope) -> float:
        name = scope.node if node is None else node
        if figure == "ready":
            return float(scope.view.ready(name))
        if figure == "silent":
            return scope.view.silent_s(name)
        fields = scope.view.node_field(scope.band, name)
        if figure == "valid":
            return float(fields is not None)
        if fields is None:
            raise Undefined(f"{name} has no phase in the band")
        field, coherence, weight = fields
        if figure in ("coherence", "weight"):
            return coherence if figure == "coherence" else weight
        return _TURNED[figure](field)

    return read


def read_we(figure: str, pair: str) -> Read:
    """Give what reads a figure of a pair of groups in the rule's band."""

    def read(scope: Scope) -> float:
        found = scope.view.we(pair, scope.band)
        if figure == "one":
            return float(bool(found.get("one")))
        value = found.get("cross_p" if figure == "p" else figure)
        if value is None:
            raise Undefined(f"the pair {pair} has no {figure} just now")
        return float(value)

    return read


def read_cell(figure: str) -> Read:
    """Give what reads a figure of the cell."""
    if figure == "ready":
        return lambda scope: float(scope.view.ready_nodes)
    if figure == "valid":
        return lambda scope: float(scope.view.valid)

    def read(scope: Scope) -> float:
        value = scope.view.overall(figure)
        if value is None:
            raise Undefined(f"the cell has no {figure} just now")
        return value

    return read


def read_clock(name: str) -> Read:
    """Give what reads the time of day."""
    if name == "hour":
        return lambda scope: scope.view.hour
    return lambda scope: float(scope.view.weekday)


def _phase(field: complex) -> float:
    if abs(field) <= _TINY:
        raise Undefined("nothing is coherent: there is no phase")
    return math.atan2(field.imag, field.real)


_TINY: Final = 1e-9
_TURNED: Final[dict[str, Callable[[complex], float]]] = {
    "phase": _phase,
    "re": lambda field: field.real,
    "im": lambda field: field.imag,
    "strength": abs,
}
