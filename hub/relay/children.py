"""Cells within this one: their aggregates taken as members of the mesh, and added up with it.

A child enters the mesh as one member with one channel a band, its mean field: the robust mean, emergence and outputs
see a house as one voice, however many nodes it has. Its sums go, exactly as they came, into what this cell hands up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.intake.live import store
from becomingone.hub.intake.roster import Member, Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.hub.relay.child_member import CHANNEL, about, as_member
from becomingone.hub.relay.section import ChildSection
from becomingone.hub.relay.sums import carried_on
from becomingone.kairos.bands import Band
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.scheduling import MeshClock
from becomingone.wire.aggregate import AggregateFrame, cell_id, decode_aggregate
from becomingone.wire.announce import State
from becomingone.wire.replay import Order
from becomingone.wire.topics import Topics

MAX_AHEAD_S: Final = 1.0
"""Sums of an instant further ahead are refused, s."""


@dataclass(slots=True, eq=False)
class _Child:
    section: ChildSection
    order: Order = field(default_factory=Order)
    frame: AggregateFrame | None = None
    member: Member | None = None
    rows: dict[str, int] = field(default_factory=dict[str, int])
    taken: int = 0
    missing: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])


class Children:
    """Takes ``cell/<child>/aggregate``.

    Parameters
    ----------
    sections : mapping of str to ChildSection
        The cells that are taken, by name; nobody else's sums are.
    topics : Topics
        This cell's topics.
    bands : sequence of Band
        The cell's plan; what children have beyond it is handed up, and no member here.
    roster, table : Roster, ChannelTable
        Where a child is a member ``cell-<child>``.
    trust : Trust
        Opens what comes, with the key of a node of that name.
    clock : MeshClock
        The hub's clock.
    refuse : callable
        Counts and tells what is refused.
    tell : callable
        Publishes the events ``joined`` and ``lost``.
    """

    def __init__(
        self,
        sections: Mapping[str, ChildSection],
        topics: Topics,
        bands: Sequence[Band],
        roster: Roster,
        table: ChannelTable,
        *,
        trust: Trust,
        clock: MeshClock,
        refuse: Callable[[Message, FrameError | TopicError], None],
        tell: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self.own = cell_id(topics.base)
        self._children = {name: _Child(section) for name, section in sections.items()}
        self._holder: dict[bytes, str] = {}
        self._topics = topics
        self._bands = {band.name: (number, band) for number, band in enumerate(bands)}
        self._roster = roster
        self._table = table
        self._trust = trust
        self._clock = clock
        self._refuse = refuse
        self._tell = tell

    def __len__(self) -> int:
        return len(self._children)

    def start(self, link: Link) -> None:
        """Subscribe, where any child is known."""
        if self._children:
            link.subscribe(self._topics.aggregate("+"), self._take)

    @property
    def numbers(self) -> frozenset[int]:
        """The children's numbers in the table."""
        return frozenset(child.member.number for child in self._children.values() if child.member is not None)

    @property
    def cells(self) -> frozenset[bytes]:
        """The ids of all cells whose channels are in the children's sums."""
        return frozenset(self._holder)

    def sums(self, time_us: int) -> dict[str, list[tuple[PartialSum, float]]]:
        """Give the sums of the children that are there by band, carried on to an instant, with their rates.

        Parameters
        ----------
        time_us : int
            Mesh time of the instant, µs. A child's sums of this very instant are given bit for bit.
        """
        found: dict[str, list[tuple[PartialSum, float]]] = {}
        for child in self._children.values():
            if (frame := child.frame) is not None:
                for name, total in frame.bands.items():
                    omega = frame.omega[name]
                    found.setdefault(name, []).append((carried_on(total, omega, time_us - frame.time_us), omega))
        return found

    def take(self, state: MeshState) -> None:
        """Give up the children from which nothing new has come."""
        for name, child in self._children.items():
            if child.frame is not None and state.time_us - child.frame.time_us > child.section.max_age_s * 1e6:
                self._hold(name, child, None)
                if child.member is not None:
                    child.member.state = State.LOST
                    self._table.set_alive(child.member.number, alive=False)
                self._tell("lost", {"node": _id(name), "before": State.READY, "cell": name})

    def figures(self) -> dict[str, Any]:
        """Give what is known of each child."""
        return {
            name: {
                "present": child.frame is not None,
                "channels": 0 if child.frame is None else sum(total.count for total in child.frame.bands.values()),
                "cells": 0 if child.frame is None else len(child.frame.cells),
                "taken": child.taken,
                "missing": child.missing,
                "refused": dict(child.refused),
            }
            for name, child in self._children.items()
        }

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        child: _Child | None = None
        try:
            (name,) = self._topics.parse_cell(message.topic).names
            child = self._children.get(name)
            if child is None:
                raise FrameError("unknown_cell", f"{name} is none of the cells that are configured under children")
            life = self._trust.open(_id(name), message.topic, message.payload)
            frame = decode_aggregate(message.payload)
            self._check(name, child, frame, life=life, retained=message.retained)
            self._enter(name, child, frame)
        except (FrameError, TopicError) as error:
            if child is not None and isinstance(error, FrameError):
                child.refused[error.reason] += 1
            self._refuse(message, error)

    def _check(self, name: str, child: _Child, frame: AggregateFrame, *, life: int | None, retained: bool) -> None:
        if retained:
            raise FrameError("retained", "sums that the broker had stored are of no instant")
        if life is not None and frame.boot != life:
            raise FrameError("wrong_epoch", f"of boot {frame.boot}, sent by {name} in its life {life}")
        if life is None and child.frame is not None and frame.boot < child.order.boot:
            raise FrameError("wrong_epoch", f"of boot {frame.boot} of {name}, which is in boot {child.order.boot} now")
        child.order.check(frame.boot, frame.seq)
        age_s = (self._clock.now_us() - frame.time_us) / 1e6
        if -age_s > MAX_AHEAD_S:
            raise FrameError("future", f"{-age_s:.3f} s ahead of the hub's clock")
        self._trust.check_start(frame.time_us)
        if age_s > child.section.max_age_s:
            raise FrameError("late", f"{age_s:.3f} s old, and no part of the live state any more")
        if self.own in frame.cells:
            raise FrameError("loop", f"{name} holds sums of this cell itself: one of the two must not hand up")
        for cell in frame.cells:
            other = self._holder.get(cell, name)
            if other != name:
                raise FrameError("overlap", f"{name} and {other} hold sums of the same cell, which would count twice")

    def _enter(self, name: str, child: _Child, frame: AggregateFrame) -> None:
        now_ns = self._clock.monotonic_ns()
        member = child.member or self._enrol(name, child, now_ns)
        known = [band for band in frame.bands if band in self._bands]
        if member.about is None or member.about.boot != frame.boot or set(known) - set(member.about.bands):
            member.about = about(_id(name), child.section, frame.boot, [self._bands[band][1] for band in known])
        child.missing += child.order.take(frame.boot, frame.seq)
        self._hold(name, child, frame)
        child.taken += 1
        member.frames += 1
        member.heard_ns = now_ns
        if member.state is not State.READY:
            before, member.state = member.state, State.READY
            self._tell("joined", {"node": member.id, "before": before, "cell": name})
        for gone in child.rows.keys() - set(known):
            self._table.retire(child.rows.pop(gone))
        child.rows = {band: self._row(member, child.section, band) for band in known}
        store(
            self._table,
            list(child.rows.values()),
            [as_member(frame, self._bands[band][1], child.section.clock_sigma_s) for band in known],
        )

    def _hold(self, name: str, child: _Child, frame: AggregateFrame | None) -> None:
        """Take a child's sums in the place of those before; None: it has none any more."""
        if child.frame is None or frame is None or child.frame.cells != frame.cells:
            for cell in child.frame.cells if child.frame is not None else ():
                del self._holder[cell]
            self._holder.update(dict.fromkeys(frame.cells if frame is not None else (), name))
        child.frame = frame

    def _enrol(self, name: str, child: _Child, now_ns: int) -> Member:
        found = self._roster.get(_id(name))
        if found is not None and not found.cell and found.known:
            raise FrameError("name_taken", f"a node of this cell is called {_id(name)}, as the child would be")
        member = child.member = self._roster.enrol(_id(name), now_ns)
        member.cell = True
        return member

    def _row(self, member: Member, section: ChildSection, name: str) -> int:
        number, _ = self._bands[name]
        return self._table.row(
            RowKey(member.id, name, CHANNEL),
            node=member.number,
            band=number,
            max_age_s=section.max_age_s,
            capability=section.weight,
        )


def _id(child: str) -> str:
    """Give a child's id as a member."""
    return f"cell-{child}"
