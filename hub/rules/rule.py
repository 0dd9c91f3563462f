"""A rule at work: whether it fires, since when, and what its outputs should do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from becomingone.hub.mesh.state import BandState
from becomingone.hub.rules.errors import Undefined
from becomingone.hub.rules.expression import Expression
from becomingone.hub.rules.quiet import is_quiet
from becomingone.hub.rules.rule_section import ROLES, RuleSection
from becomingone.hub.rules.view import Scope, View
from becomingone.scheduling import NANOSECONDS
from becomingone.wire.command import RANGES
from becomingone.wire.mapping import values_for

PULSE_S: Final = 2.0
"""Seconds for which a rule fires after its event, unless configured."""


class Wish(NamedTuple):
    """What an output should do.

    Parameters
    ----------
    values : mapping of str to float, or None
        Within the ranges of its role; None: nothing is commanded.
    source : str
        Who wants it: a rule's name, ``default``, ``request``, ``rest``.
    why : str
        One line for people.
    rate_hz : float or None
        How often it may be told, where the rule says so.
    """

    values: Mapping[str, float] | None
    source: str
    why: str
    rate_hz: float | None = None


@dataclass(slots=True)
class _Condition:
    """Whether a condition counts as held, for one node where it differs from node to node."""

    on: bool = False
    turned_ns: int | None = None
    """Since when it has been otherwise."""


@dataclass(slots=True, eq=False)
class Rule:
    """One rule of a hub's life.

    Parameters
    ----------
    section : RuleSection
        As configured.
    quiet_hours : tuple of str
        Those of the whole dispatch, for a rule without its own.
    """

    section: RuleSection
    quiet_hours: tuple[str, ...] = ()
    fired: int = 0
    undefined: int = 0
    why: str = "not looked at yet"
    """Why it does not fire, or ``fires``."""
    changed: bool = False
    """Whether `on` has changed since somebody last looked."""
    _firing: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _when: Expression | None = None
    _set: dict[str, Expression] = field(default_factory=dict[str, Expression])
    _conditions: dict[str, _Condition] = field(default_factory=dict[str, _Condition])
    _until_ns: int = -1
    _told_ns: int | None = None
    own: bool = field(init=False)
    """Whether it differs from node to node."""
    looks: bool = field(init=False)
    """Whether it depends on what any frame of its band may change."""
    nodes: frozenset[str] = field(init=False)
    """Nodes whose frames in its band change it, where that is not so; "" is the output's own."""

    def __post_init__(self) -> None:
        self._when = self.section.condition()
        self._set = self.section.values()
        uses = [expression.uses for expression in self.expressions]
        self.own = any(one.own for one in uses)
        self.looks = not self._set or any(one.figures for one in uses)
        self.nodes = frozenset() if self.looks else frozenset(name for one in uses for name in one.nodes)
        if self.section.quiet_hours is not None:
            self.quiet_hours = self.section.quiet_hours

    @property
    def expressions(self) -> list[Expression]:
        """All of them."""
        return [*([self._when] if self._when is not None else []), *self._set.values()]

    def takes(self, node: str, device: str, role: str) -> bool:
        """Tell whether it drives an output."""
        if self._set and not set(self._set) <= set(RANGES[role]):
            return False
        return any(
            pattern == role if pattern in ROLES else all(map(_fits, pattern.split("/"), (node, device)))
            for pattern in self.section.outputs
        )

    def band(self, view: View) -> BandState | None:
        """Give the band that it looks at."""
        return view.followed if self.section.band is None else view.band(self.section.band)

    def _looked_at(self, view: View) -> BandState | None:
        """Give its band, as it is now where it depends on that."""
        if self.looks:
            return self.band(view)
        name = self.band_name(view)
        return None if name is None else view.settled(name)

    def bands(self, view: View) -> list[BandState | None]:
        """Give all bands that decide what it sets: a motor moves only if each of them lets it."""
        named = {name for expression in self._set.values() for name in expression.uses.bands}
        return [self.band(view), *(view.band(name) for name in sorted(named))]

    def band_name(self, view: View) -> str | None:
        """Give the name of the band that it looks at."""
        return view.followed_name if self.section.band is None else self.section.band

    def follows(self, view: View) -> set[str]:
        """Give the names of all bands any of whose frames can move it; see `nodes`."""
        named = {name for expression in self.expressions for name in expression.uses.bands}
        name = self.band_name(view) if self.looks else None
        return named | ({name} if name is not None else set())

    def hear(self, kind: str, content: Mapping[str, Any], now_ns: int) -> bool:
        """Take note of an event; True where the rule waits for it."""
        section = self.section
        if kind not in section.event or (section.band is not None and content.get("band") not in (None, section.band)):
            return False
        self._until_ns = now_ns + int((section.for_s or PULSE_S) * NANOSECONDS)
        return True

    def wish(self, view: View, node: str, role: str) -> Wish | None:
        """Give what an output of a role, of a node, should do; None where the rule does not fire."""
        key = (id(self), node if self.own else "", role)
        if key not in view.memo:
            view.memo[key] = self._wish(view, node, role)
        found = view.memo[key]
        return found if isinstance(found, Wish) else None

    def _wish(self, view: View, node: str, role: str) -> Wish | None:
        state = self._conditions.setdefault(node if self.own else "", _Condition())
        scope = Scope(view, self._looked_at(view), node, self.section.hysteresis if state.on else 0.0)
        try:
            wanted = self._holds(scope, state)
            values = self._values(scope, role) if wanted else None
        except Undefined as error:
            self.undefined += 1
            self.why = f"undefined: {error}"
            values = None
        self._note((node if self.own else "", role), fires=values is not None)
        if values is None:
            return None
        self.why = "fires"
        return Wish(values, self.section.name, f"rule {self.section.name}", self.section.rate_hz)

    @property
    def on(self) -> bool:
        """Whether it fires, for any output."""
        return bool(self._firing)

    def forget(self, node: str) -> None:
        """Take note that a node has lost an output: what is not looked at does not fire."""
        self._conditions.pop(node, None)
        for key in [key for key in self._firing if key[0] == node]:
            self._note(key, fires=False)

    def _note(self, key: tuple[str, str], *, fires: bool) -> None:
        before = self.on
        if fires:
            self._firing.add(key)
        else:
            self._firing.discard(key)
        if self.on != before:
            self.changed = True
            self.fired += self.on

    def _holds(self, scope: Scope, state: _Condition) -> bool:
        """Tell whether it fires, but for what it sets."""
        view = scope.view
        if self.quiet_hours and is_quiet(self.quiet_hours, view.local):
            state.on, state.turned_ns, self.why = False, None, "quiet hours"
            return False
        if self.section.event and view.now_ns >= self._until_ns:
            self.why = "no event"
            return False
        undefined: Undefined | None = None
        holds = True
        if self._when is not None:
            try:
                holds = self._when(scope) != 0.0
            except Undefined as error:
                holds, undefined = False, error
        if holds == state.on:
            state.turned_ns = None
        else:
            wait_s = self.section.on_for_s if holds else self.section.off_for_s
            state.turned_ns = view.now_ns if state.turned_ns is None else state.turned_ns
            if view.now_ns - state.turned_ns >= wait_s * NANOSECONDS:
                state.on, state.turned_ns = holds, None
        if not state.on:
            if undefined is not None:
                raise undefined
            self.why = "the condition does not hold" if not holds else "the condition has held for less than on_for_s"
        return state.on

    def _values(self, scope: Scope, role: str) -> dict[str, float]:
        if not self._set:
            band = scope.band
            if band is None or not band.valid:
                raise Undefined("no channel has a phase in the band")
            return dict(values_for(role, band.field_at(scope.view.time_us), band.coherence))
        ranges = RANGES[role]
        return {
            name: max(ranges[name][0], min(ranges[name][1], expression(scope)))
            for name, expression in self._set.items()
        }

    def may_tell(self, now_ns: int) -> bool:
        """Tell whether an event may say that it has changed: at most one a second does."""
        if self._told_ns is not None and now_ns - self._told_ns < NANOSECONDS:
            return False
        self._told_ns = now_ns
        return True

    def figures(self) -> dict[str, Any]:
        """Give what it does, for the snapshot."""
        return {"on": self.on, "why": self.why, "fired": self.fired, "undefined": self.undefined}


def _fits(pattern: str, name: str) -> bool:
    """Match a name against a pattern with ``*``, in linear time."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    if not name.startswith(first):
        return False
    place = len(first)
    for piece in rest[:-1]:
        place = name.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    return name.endswith(rest[-1]) and len(name) - len(rest[-1]) >= place
