"""Who belongs to the mesh: each node's announced state, description and when it was last heard."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from becomingone.wire.announce import About, Health, State

SILENT_INTERVALS: Final = 3.0
"""A node is lost after so many of its own reporting intervals without a word."""

LEAST_SILENCE_S: Final = 3.0
"""Seconds of silence that never count as lost."""


@dataclass(slots=True, eq=False)
class Member:
    """One node as the hub knows it.

    Parameters
    ----------
    number : int
        Its number in the channel table.
    id : str
        Its id.
    heard_ns : int
        When it was last heard, on the hub's monotonic clock.
    """

    number: int
    id: str
    heard_ns: int
    state: State | None = None
    about: About | None = None
    health: Health | None = None
    frames: int = 0
    missing: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    rebirth_ns: int | None = None

    @property
    def silence_ns(self) -> int:
        """Nanoseconds of silence after which it is lost."""
        interval_s = self.about.interval_s if self.about is not None else LEAST_SILENCE_S
        return int(max(LEAST_SILENCE_S, SILENT_INTERVALS * interval_s) * 1e9)


class Roster:
    """All nodes, by id and by number; members are never removed while the hub runs."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._by_id: dict[str, Member] = {}

    def get(self, node: str) -> Member | None:
        """Give a node, or None where it was never heard of."""
        return self._by_id.get(node)

    def heard(self, node: str, now_ns: int) -> Member:
        """Give a node that has just been heard of, enrolled where it is new."""
        member = self._by_id.get(node)
        if member is None:
            member = Member(len(self.members), node, now_ns)
            self.members.append(member)
            self._by_id[node] = member
        else:
            member.heard_ns = now_ns
        return member

    def silent(self, now_ns: int) -> list[Member]:
        """Give the nodes that say they are there and have been silent for too long."""
        return [
            member
            for member in self.members
            if member.state in (State.INIT, State.READY) and now_ns - member.heard_ns > member.silence_ns
        ]
