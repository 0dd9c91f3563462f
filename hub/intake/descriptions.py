"""What nodes say of themselves, checked and kept in the roster."""

from __future__ import annotations

from dataclasses import dataclass

from becomingone.broker.link import Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.intake.roster import Member, Roster
from becomingone.hub.intake.trust import Trust
from becomingone.scheduling import MeshClock
from becomingone.wire.announce import About, Health, parse_announcement
from becomingone.wire.frame import PROTOCOL
from becomingone.wire.topics import Topics


@dataclass(frozen=True, slots=True)
class Descriptions:
    """Takes ``about`` and ``health``; every method raises `FrameError` or `TopicError` with what was wrong.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    roster : Roster
        Where it is kept.
    trust : Trust
        Tells whose descriptions they are.
    clock : MeshClock
        The hub's clock.
    """

    topics: Topics
    roster: Roster
    trust: Trust
    clock: MeshClock

    def member(self, message: Message, *, its_own: bool = True) -> Member:
        """Give the node that a message below ``node/`` is about, made a member where it is new.

        What the broker had stored, or somebody else says of a node (``its_own`` False), is no sign of life.
        """
        node = self.topics.parse_node(message.topic).node
        if not self.trust.knows(node):
            raise FrameError("no_about", f"{node} has not proved itself yet")
        member = None if its_own and not message.retained else self.roster.get(node)
        return member or self.roster.enrol(node, self.clock.monotonic_ns())

    def forgotten(self, message: Message) -> bool:
        """Tell whether a message is the end of what the broker had stored of a node that has been forgotten."""
        if message.payload:
            return False
        try:
            member = self.roster.get(self.topics.parse_node(message.topic).node)
        except TopicError:
            return False
        return member is not None and not member.known

    def take_about(self, message: Message) -> Member:
        """Take a node's description."""
        about = parse_announcement(About, message.payload)
        if about.protocol != PROTOCOL:
            raise FrameError("protocol", f"{about.node} speaks version {about.protocol}, this hub {PROTOCOL}")
        if about.node != self.topics.parse_node(message.topic).node:
            raise FrameError("announcement", f"the description of {about.node} in another node's place")
        self.trust.open_json(about.node, message.topic, message.payload, about.boot)
        member = self.member(message)
        self.roster.keep(member, "about", len(message.payload))
        member.about = about
        return member

    def take_health(self, message: Message) -> None:
        """Take the vital figures of a node that is a member."""
        health = parse_announcement(Health, message.payload)
        node = self.topics.parse_node(message.topic).node
        if self.roster.get(node) is None:
            if message.retained:  # stored before the broker has routed the description: the next will do
                return
            raise FrameError("no_about", f"{node} has announced nothing yet")
        member = self.member(message)
        self.roster.keep(member, "health", len(message.payload))
        member.health = health
