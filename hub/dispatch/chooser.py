"""What an output should do: what somebody asked for, else what a rule says, else the documents' mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from becomingone.hub.dispatch.driven import RESTING, Driven
from becomingone.hub.dispatch.held import Held
from becomingone.hub.dispatch.requests import Requests
from becomingone.hub.mesh.state import BandState
from becomingone.hub.rules.quiet import is_quiet
from becomingone.hub.rules.rule import Wish
from becomingone.hub.rules.section import DispatchSection
from becomingone.hub.rules.view import View
from becomingone.wire.mapping import values_for


def may_move(band: BandState | None) -> bool:
    """Tell whether a motor may follow a band: its coherence has been significant for the dwell, and is decidable.

    `BandState.collapsed` has hysteresis, so a motor that follows goes on for up to the dwell after the evidence has
    gone; it stops at once where no phase is left.
    """
    return band is not None and band.valid and band.collapsed and band.decidable and band.phase is not None


class Chooser:
    """Decides, and changes nothing but the rules' own time.

    Parameters
    ----------
    section : DispatchSection
        How outputs are driven.
    requests : Requests
        What holds because somebody asked for it.
    suppress : callable
        Told of an output that is not moved, and why, in one word.
    """

    def __init__(
        self, section: DispatchSection, requests: Requests, *, suppress: Callable[[Driven, str], None]
    ) -> None:
        self._section = section
        self._requests = requests
        self._suppress = suppress

    def wish(self, one: Driven, view: View) -> Wish:
        """Give what an output should do."""
        held = self._requests.of(one.node, one.device, view.now_ns)
        if held is not None or not one.alike:
            return self._decided(one, view, held)
        key = (one.rules, one.role)
        wish = view.memo.get(key)
        if not isinstance(wish, Wish):
            wish = view.memo[key] = self._decided(one, view, None)
        return wish

    def _decided(self, one: Driven, view: View, held: Held | None) -> Wish:
        wishes = [(rule, rule.wish(view, one.node, one.role)) for rule in one.rules]  # all: their time goes on
        if held is not None and held.stop:
            return Wish(None, "request", held.why or "asked to stand still")
        if one.moves and self._section.quiet_hours and is_quiet(self._section.quiet_hours, view.local):
            self._suppress(one, "quiet")
            return Wish(None, "rest", "quiet hours")
        if held is not None:
            return Wish(held.values, "request", held.why or "asked for")
        for rule, wish in wishes:
            if wish is None:
                continue
            if one.moves and not all(map(may_move, rule.bands(view))):
                self._suppress(one, "undecided")
                return Wish(None, rule.section.name, "a motor only follows a band that has collapsed and is decidable")
            return wish
        return self._otherwise(one) if one.rules else self._default(one, view)

    def _otherwise(self, one: Driven) -> Wish:
        first = one.rules[0]
        why = f"rule {first.section.name}: {first.why}"
        if one.moves:
            return Wish(None, "rest", why)
        if first.section.otherwise == "hold" and first.why != "quiet hours":
            return Wish(one.sent_values or None, first.section.name, f"holds; {why}")
        return Wish(RESTING[one.role], "rest", why)

    def _default(self, one: Driven, view: View) -> Wish:
        band = view.followed
        if not self._section.defaults:
            return Wish(None, "default", "no rule names it, and dispatch.defaults is false")
        if band is None or not band.valid:
            return Wish(None, "default", "no channel has a phase")
        if one.moves and not may_move(band):
            self._suppress(one, "undecided")
            return Wish(None, "default", "a motor only follows a band that has collapsed and is decidable")
        values = values_for(one.role, band.field_at(view.time_us), band.coherence)
        return Wish(values, "default", f"follows {band.name}")

    def follows(self, one: Driven, view: View) -> frozenset[str]:
        """Give the bands any of whose frames can move an output."""
        if one.wish.source in ("request", "rest"):
            return frozenset()
        key = ("follows", one.rules)
        found = view.memo.get(key)
        if isinstance(found, frozenset):
            return cast("frozenset[str]", found)
        names = {name for rule in one.rules for name in rule.follows(view)}
        if not one.rules and view.followed_name is not None:
            names = {view.followed_name}
        made = view.memo[key] = frozenset(names)
        return made

    def heeds(self, one: Driven, view: View) -> set[tuple[str, str]]:
        """Give the bands, each with a node, whose frames can move an output where others of the band cannot."""
        found: set[tuple[str, str]] = set()
        if one.wish.source in ("request", "rest"):
            return found
        for rule in one.rules:
            band = rule.band_name(view) if rule.nodes else None
            if band is not None:
                found |= {(band, name or one.node) for name in rule.nodes}
        return found
