"""Asking nodes to describe themselves again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from becomingone.hub.dispatch import Seal
from becomingone.hub.roster import Member, Rebirths
from becomingone.scheduling import NANOSECONDS
from becomingone.wire.command import NodeCommand, encode_node_command
from becomingone.wire.topics import Topics

REBIRTH_NS: Final = 5 * NANOSECONDS
"""A node is asked to describe itself at most this often."""

REBIRTH_EXPIRY_US: Final = 10_000_000

MAX_STRANGERS: Final = 256
"""Nodes that have announced nothing yet and are asked to, at most so many in `REBIRTH_NS`."""


class RebirthRequests:
    """The ``rebirth`` commands of one hub's life.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    seal : callable
        Seals each command.
    publish : callable
        Sends a topic and payload.
    """

    def __init__(self, topics: Topics, boot: int, *, seal: Seal, publish: Callable[[str, bytes], object]) -> None:
        self._topics = topics
        self._boot = boot
        self._seal = seal
        self._publish = publish
        self._next = 0
        self._strangers = Rebirths(REBIRTH_NS, most=MAX_STRANGERS)

    def ask(self, node: str, member: Member | None, *, now_ns: int, now_us: int) -> None:
        """Ask a node, unless it has been asked just now or cannot be spoken to."""
        if member is None:
            due = self._strangers.due(node, now_ns)
        elif due := member.rebirth_ns is None or now_ns - member.rebirth_ns >= REBIRTH_NS:
            member.rebirth_ns = now_ns
        if due:
            topic = self._topics.command(node, "rebirth")
            command = encode_node_command(NodeCommand(self._boot, self._next, now_us + REBIRTH_EXPIRY_US))
            payload = self._seal(node, topic, command)
            if payload is not None:
                self._next += 1
                self._publish(topic, payload)
