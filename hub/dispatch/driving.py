"""One output driven: what it should do, whether that is news to it, and whether it may be told now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from becomingone.hub.dispatch.chooser import Chooser
from becomingone.hub.dispatch.driven import NEUTRAL, Driven
from becomingone.hub.dispatch.requests import Requests
from becomingone.hub.dispatch.sender import Sender
from becomingone.hub.rules.rule import Wish
from becomingone.hub.rules.section import DispatchSection
from becomingone.hub.rules.view import View
from becomingone.scheduling import MICROSECONDS, MeshClock
from becomingone.wire.announce import State
from becomingone.wire.rate import Bucket

MOTOR_EXPIRY_US: Final = 150_000
"""µs for which a command to a motor holds at most: what comes later is of a mesh that has gone on since."""


class Driving:
    """Makes commands of wishes.

    Parameters
    ----------
    section : DispatchSection
        How outputs are driven.
    requests : Requests
        What people ask for.
    chooser : Chooser
        What each output should do.
    sender : Sender
        Sends, and counts what was not sent.
    clock : MeshClock
        The hub's.
    """

    def __init__(
        self, section: DispatchSection, *, requests: Requests, chooser: Chooser, sender: Sender, clock: MeshClock
    ) -> None:
        self._section = section
        self._requests = requests
        self._chooser = chooser
        self._sender = sender
        self._clock = clock
        self._expiry_us = int(section.expiry_s * MICROSECONDS)
        self._total = Bucket(section.total_hz, max(section.total_hz / 4.0, 5.0))
        self._turns = 0

    def drive(self, one: Driven, view: View) -> None:
        """Decide what an output should do, and tell it where that is due."""
        one.online = one.member.state is State.READY
        one.wish = wish = self._wish(one, view)
        if not one.online or wish.values is None:
            one.let_go()
            return
        held = self._requests.of(one.node, one.device, view.now_ns) if wish.source == "request" else None
        asked = held is not None and held.command is None
        due = one.moves or asked or one.due(view.now_ns)
        if not due and not self._changed(one, wish.values, view):
            self._sender.suppress(one, "unchanged")
            return
        one.pace(wish.rate_hz or self._section.rate_hz)
        if not due and not self._total.take(view.now_ns):
            self._sender.suppress(one, "total")
        elif not asked and not one.allow(view.now_ns):
            self._sender.suppress(one, "rate")
        else:
            self._command(one, wish, view)

    def _command(self, one: Driven, wish: Wish, view: View, *, once: bool = False) -> None:
        # A motor's command that follows the mesh is void when the mesh's state is old; what a person asks for is new.
        from_us = self._clock.mesh_us(view.now_ns) if wish.source == "request" else view.time_us
        holds_us = min(self._expiry_us, MOTOR_EXPIRY_US) if one.moves else self._expiry_us
        number = self._sender.send(one, wish, view, expires_us=from_us + holds_us, once=once)
        held = self._requests.of(one.node, one.device, view.now_ns) if wish.source == "request" else None
        if number is not None and held is not None and held.command is None:
            held.command = number

    def drive_moved(self, outputs: Sequence[Driven], view: View, may: Callable[[int], bool]) -> None:
        """Drive the outputs that frames have moved: one in any case, the others while they `may` then."""
        first = True
        self._turns += 1
        start = self._turns % len(outputs)
        for one in (*outputs[start:], *outputs[:start]):  # each time another one is the first, as at the tick
            wish = self._wish(one, view)
            if wish.values is None or not one.online:
                continue  # the next tick says so
            if not self._changed(one, wish.values, view):
                self._sender.suppress(one, "unchanged")
            elif not one.allow(view.now_ns):
                self._sender.suppress(one, "rate")
            elif not first and not may(view.now_ns):
                self._sender.suppress(one, "frames")
                return
            else:
                first = False
                one.wish = wish
                self._command(one, wish, view, once=True)

    def _wish(self, one: Driven, view: View) -> Wish:
        """Give what it should do, with all values of its role; many outputs share one mapping, then made once."""
        wish = self._chooser.wish(one, view)
        values = wish.values
        if values is None or len(values) == len(NEUTRAL[one.role]):
            return wish
        key = (id(values), id(one.sent_values), one.role)
        whole = view.memo.get(key)
        if not isinstance(whole, Wish):
            whole = view.memo[key] = wish._replace(values=one.whole(values))
        return whole

    def _changed(self, one: Driven, values: Mapping[str, float], view: View) -> bool:
        """Tell whether values are beyond the dead band; where many share what was sent and what is to be, once."""
        key = (id(values), id(one.sent_values))
        changed = view.memo.get(key)
        if not isinstance(changed, bool):
            changed = view.memo[key] = one.moved(values, self._section.dead_band)
        return changed
