"""The section of one rule in the hub's configuration."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, NoReturn, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from becomingone.config.sections import Name, Section
from becomingone.hub.rules.errors import RuleError
from becomingone.hub.rules.expression import Expression, parse
from becomingone.hub.rules.quiet import QuietHours
from becomingone.wire.command import RANGES

ROLES: Final = tuple(RANGES)

RESERVED: Final = ("request", "default", "rest")
"""What may stand in the place of a rule's name where none is in force."""

_GLOB: Final = r"[a-z0-9*][a-z0-9_*-]{0,62}"
_PATTERN: Final = re.compile(rf"{_GLOB}/{_GLOB}")

EventKind = Literal[
    "emergence",
    "dissolution",
    "we",
    "we_dissolution",
    "collapse",
    "dissipation",
    "joined",
    "left",
    "slept",
    "lost",
    "drifted",
    "distrusted",
    "restored",
    "witness",
    "realign",
]
"""Events that a rule may wait for."""


def _as_text(value: object) -> object:
    """Take a plain YAML number, or true or false, for the expression that it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else value


def listed(value: object) -> object:
    """Take a single entry for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _pattern(text: str) -> str:
    if text not in ROLES and not _PATTERN.fullmatch(text):
        msg = f"must be <node>/<device>, where * stands for any part of a name, or {', '.join(ROLES)}, not {text!r:.80}"
        raise ValueError(msg)
    return text


Formula = Annotated[str, BeforeValidator(_as_text)]
"""An expression of `becomingone.hub.rules.expression`."""

Pattern = Annotated[str, AfterValidator(_pattern)]


class RuleSection(Section):
    """One rule."""

    name: Annotated[Name, Field(description="what it is called in events, the snapshot and the state of outputs")]
    outputs: Annotated[
        tuple[Pattern, ...],
        BeforeValidator(listed),
        Field(
            min_length=1,
            max_length=64,
            description="the outputs that it drives: <node>/<device>, * for any part of a name; or a role",
        ),
    ]
    band: Annotated[
        Name | None, Field(description="the band that its expressions look at; default: dispatch.band, or the dominant")
    ] = None
    when: Annotated[Formula | None, Field(description="the condition under which it fires; default: always")] = None
    event: Annotated[
        tuple[EventKind, ...],
        BeforeValidator(listed),
        Field(max_length=16, description="events that make it fire for for_s; with band: only those of that band"),
    ] = ()
    for_s: Annotated[
        float | None, Field(gt=0, le=86_400, description="seconds that it fires after an event; default 2")
    ] = None
    set: Annotated[
        dict[str, Formula],
        Field(max_length=8, description="by value, what to set it to; default: the documents' mapping of the role"),
    ] = {}  # noqa: RUF012 - pydantic copies it
    priority: Annotated[
        int,
        Field(
            ge=-1000,
            le=1000,
            description="of the rules that fire for an output, the greatest wins; the first of equals",
        ),
    ] = 0
    rate_hz: Annotated[
        float | None, Field(gt=0, le=1000, description="commands a second to each output at most; default: dispatch's")
    ] = None
    hysteresis: Annotated[
        float, Field(ge=0, le=1e6, description="by how much the comparison in when is eased while the rule fires")
    ] = 0.0
    on_for_s: Annotated[
        float, Field(ge=0, le=86_400, description="seconds that the condition must hold before the rule fires")
    ] = 0.0
    off_for_s: Annotated[
        float, Field(ge=0, le=86_400, description="seconds that it must fail before the rule stops")
    ] = 0.0
    quiet_hours: Annotated[
        QuietHours | None, Field(description="local times at which it does not fire; default: dispatch.quiet_hours")
    ] = None
    otherwise: Annotated[
        Literal["rest", "hold"],
        Field(description="what its outputs do while no rule fires for them: rest, or hold the last values"),
    ] = "rest"

    @model_validator(mode="after")
    def _check(self) -> RuleSection:
        if self.name in RESERVED:
            refuse("name", f"{self.name} stands for something else; a rule needs another name")
        parsed = self.condition()
        self.values()
        roles = {role for role, ranges in RANGES.items() if set(ranges) & set(self.set)}
        for given in self.outputs:
            if given in ROLES and roles and given not in roles:
                refuse("outputs", f"a {given} takes {', '.join(RANGES[given])}, not {', '.join(self.set)}")
        if self.hysteresis and (parsed is None or parsed.uses.comparisons not in ([1], [-1])):
            refuse("hysteresis", "needs a when with exactly one comparison of order (< <= > >=); else use off_for_s")
        if self.for_s is not None and not self.event:
            refuse("for_s", "is for rules with an event; on_for_s and off_for_s are for conditions")
        if self.event and (self.on_for_s or self.off_for_s or self.hysteresis):
            refuse("event", "a rule with an event has for_s, not on_for_s, off_for_s or hysteresis")
        if self.otherwise == "hold" and "motor" in (*self.outputs, *roles):
            refuse("otherwise", "a motor never holds: it moves while a rule fires, and rests else")
        return self

    def condition(self) -> Expression | None:
        """Give the condition, read anew.

        Raises
        ------
        ValueError
            Naming the field and the column.
        """
        return None if self.when is None else _read("when", self.when, None)

    def values(self) -> dict[str, Expression]:
        """Give what it sets, read anew; empty where the documents' mapping applies.

        Raises
        ------
        ValueError
            Naming the field and the column.
        """
        role = next((role for role, ranges in RANGES.items() if set(ranges) & set(self.set)), None)
        for name in self.set:
            if role is None or name not in RANGES[role]:
                known = "; ".join(f"a {role} takes {', '.join(ranges)}" for role, ranges in RANGES.items())
                refuse(f"set.{name}", f"no value {name!r:.40} goes with the others: {known}")
        return {name: _read(f"set.{name}", text, name) for name, text in self.set.items()}

    def expressions(self) -> dict[str, Expression]:
        """Give all its expressions by field."""
        condition = self.condition()
        found = {f"set.{name}": one for name, one in self.values().items()}
        return found if condition is None else {"when": condition, **found}


def _read(field: str, text: str, value: str | None) -> Expression:
    try:
        return parse(text, "truth" if value is None else "number", value=value)
    except RuleError as error:
        msg = f"{field}: {error}"
        raise ValueError(msg) from error


def refuse(field: str, problem: str) -> NoReturn:
    """Refuse a field; the message is told with its line."""
    msg = f"{field}: {problem}"
    raise ValueError(msg)
