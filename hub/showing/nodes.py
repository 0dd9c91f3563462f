"""The nodes of a snapshot: as many as there is room for, the most important first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from becomingone.hub.intake.roster import Member
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.showing.channels import DIGITS, Entry, channel_entries, channels
from becomingone.hub.showing.events import compact
from becomingone.wire.announce import State

MAX_NODES: Final = 500
"""Nodes that are told of in one snapshot; writing down more would hold up the hub."""

MAX_ENTRIES: Final = 1000
"""Channels times bands of all of them."""

MAX_NODE_ENTRIES: Final = 100
"""Channels times bands of one node."""

_UNWELL_SHARE: Final = 0.5
"""Those who are unwell come first, but take at most so much of the room."""

ConfigOf = Callable[[Member], Mapping[str, str | bool | None]]
TrustOf = Callable[[str], Mapping[str, str]]


class NodeSection:
    """The nodes that fit, and how many do not.

    Parameters
    ----------
    state : MeshState
        The latest.
    members : sequence of Member
        All nodes, by their numbers.
    table : ChannelTable
        From which the state was evaluated.
    now_ns : int
        The hub's monotonic clock.
    config_of, trust_of : callable
        What is known of a node's configuration; by reason, why it is trusted less, given its id.
    room : int
        Bytes that the section may have.

    Attributes
    ----------
    nodes : dict
        By id.
    left_out, channels_left_out : int
        Nodes that are not told of; channels times bands, of these and of the others, whether they are described or not.
    """

    def __init__(
        self,
        state: MeshState,
        members: Sequence[Member],
        table: ChannelTable,
        now_ns: int,
        *,
        config_of: ConfigOf,
        trust_of: TrustOf,
        room: int,
    ) -> None:
        self._state = state
        self._table = table
        self._now_ns = now_ns
        self._config_of = config_of
        self._reasons = {member.id: dict(trust_of(member.id)) for member in members}
        self._without = {band.name: band.leave_one_out(table) for band in state.bands if band.valid}
        self.nodes: dict[str, Any] = {}
        self.channels_left_out = len(table) - self._fill(members, room)
        self.left_out = len(members) - len(self.nodes)

    def _fill(self, members: Sequence[Member], room: int) -> int:
        """Take nodes in their order while there is room; give how many rows of the table are told of."""
        table = self._table
        node_of, weight = table["node"], table.floats("weight")
        by_node = np.argsort(node_of, kind="stable")
        starts = np.searchsorted(node_of[by_node], np.arange(len(members) + 1)).tolist()
        own_weight = np.bincount(node_of, weight, len(members)).tolist()
        taken: list[tuple[Member, list[int], int]] = []
        entries = 0
        for member, most in self._ranked(members, own_weight):
            own = some = by_node[starts[member.number] : starts[member.number + 1]]
            if len(own) > MAX_NODE_ENTRIES:
                some = np.sort(own[np.argsort(-weight[own], kind="stable")[:MAX_NODE_ENTRIES]])
            if entries + len(some) > most:
                some = own[:0]
            entries += len(some)
            taken.append((member, some.tolist(), len(own) - len(some)))
            if len(taken) == MAX_NODES:
                break
        told = iter(channel_entries(self._state, table, np.array([r for _, rows, _ in taken for r in rows], np.intp)))
        found: dict[int, tuple[str, Any]] = {}
        for member, rows, untold in taken:
            named = [(table.keys[row].channel, table.keys[row].band, next(told)) for row in rows]
            node = self._node(member, named, untold)
            size = len(compact(node)) + len(member.id) + 4
            if size <= room:
                room -= size
                found[member.number] = (member.id, node)
            else:
                entries -= len(rows)
        self.nodes.update(found[number] for number in sorted(found))
        return entries

    def _ranked(self, members: Sequence[Member], weight: Sequence[float]) -> Iterator[tuple[Member, int]]:
        """Give the nodes in their order, and up to how many channels times bands may have been told of with each.

        Those that are unwell come first, as far as they leave room for others; all by their weight.
        """
        order = sorted(members, key=lambda member: (-weight[member.number], member.number))
        unwell = [member for member in order if member.state is State.LOST or self._reasons[member.id]]
        first = unwell[: int(_UNWELL_SHARE * MAX_NODES)]
        for member in first:
            yield member, int(_UNWELL_SHARE * MAX_ENTRIES)
        numbers = {member.number for member in first}
        for member in order:
            if member.number not in numbers:
                yield member, MAX_ENTRIES

    def _node(self, member: Member, entries: Sequence[tuple[str, str, Entry]], untold: int) -> dict[str, Any]:
        about = member.about
        described = {channel.name: channel for channel in about.channels} if about is not None else {}
        return {
            "state": str(member.state or State.INIT),
            "silent_s": round((self._now_ns - member.heard_ns) / 1e9, 3),
            "hardware": about.hardware if about is not None else None,
            "pid": about.pid if about is not None else None,
            "devices": {
                device.name: "ok" if device.available else device.reason
                for device in (about.devices if about is not None else ())
            },
            "outputs": [output.name for output in about.outputs] if about is not None else [],
            "frames": member.frames,
            "missing": member.missing,
            "dropped": member.health.dropped if member.health is not None else 0,
            "refused": dict(member.refused),
            "trust": self._reasons[member.id],
            "without": {
                band: round(order[member.id], DIGITS) for band, order in self._without.items() if member.id in order
            },
            "channels": channels(entries, described),
            "left_out": untold,
            "config": dict(self._config_of(member)),
        }
