"""Forgetting a node that will not come back: what the broker stores of it is taken away, and it is shown no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from becomingone.broker.link import Link
from becomingone.errors import FrameError
from becomingone.hub.intake.roster import Member, Roster
from becomingone.hub.mesh.table import ChannelTable
from becomingone.wire.announce import State
from becomingone.wire.topics import Topics


class Forget:
    """Forgets nodes.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    link : Link
        Takes what is withdrawn.
    roster, table : Roster, ChannelTable
        Where it is known; a member keeps its number, so that one that comes back after all is the same again.
    tell : callable
        Publishes an event of a kind.

    Attributes
    ----------
    gone : callable
        Called with the id of a node that has just been forgotten.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        link: Link,
        roster: Roster,
        table: ChannelTable,
        tell: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self._topics = topics
        self._link = link
        self._roster = roster
        self._table = table
        self._tell = tell
        self.gone: Callable[[str], None] = lambda _node: None

    def forget(self, node: str) -> None:
        """Forget a node.

        Raises
        ------
        FrameError
            ``unknown_node``: nobody has heard of it. ``not_allowed``: it is there.
        """
        member = self._roster.get(node)
        if member is None or not member.known:
            raise FrameError("unknown_node", f"no node {node} has been heard of")
        if member.state in (State.INIT, State.READY):
            raise FrameError("not_allowed", f"{node} is {member.state}: stop it first, or it is back at once")
        topics = self._topics
        outputs = member.about.outputs if member.about is not None else ()
        for topic in (
            *(topics.output_state(node, output.name) for output in outputs),
            topics.desired(node),
            topics.health(node),
            topics.state(node),
            topics.about(node),
        ):
            self._link.publish(topic, b"", qos=1, retain=True)
        self.forgotten(member)

    def forgotten(self, member: Member) -> None:
        """Take note that a node's description has been withdrawn, by whoever may."""
        if member.known:
            self._table.set_alive(member.number, alive=False)
            self._roster.release(member)
            self.gone(member.id)
            self._tell("forgotten", {"node": member.id})
