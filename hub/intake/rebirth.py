"""Asking nodes to describe themselves again."""

from __future__ import annotations

from typing import Final

from becomingone.hub.dispatch.commands import NodeCommands
from becomingone.hub.intake.roster import Member, Rebirths
from becomingone.scheduling import NANOSECONDS
from becomingone.wire.verbs import Verb

REBIRTH_NS: Final = 5 * NANOSECONDS
"""A node is asked to describe itself at most this often."""

REBIRTH_EXPIRY_US: Final = 10_000_000

MAX_STRANGERS: Final = 256
"""Nodes that have announced nothing yet and are asked to, at most so many in `REBIRTH_NS`."""


class RebirthRequests:
    """The ``rebirth`` commands of one hub's life.

    Parameters
    ----------
    commands : NodeCommands
        Sends them.
    """

    def __init__(self, commands: NodeCommands) -> None:
        self._commands = commands
        self._strangers = Rebirths(REBIRTH_NS, most=MAX_STRANGERS)

    def ask(self, node: str, member: Member | None, *, now_ns: int, now_us: int) -> None:
        """Ask a node, unless it has been asked just now or cannot be spoken to."""
        if member is None:
            due = self._strangers.due(node, now_ns)
        elif due := member.rebirth_ns is None or now_ns - member.rebirth_ns >= REBIRTH_NS:
            member.rebirth_ns = now_ns
        if due:
            self._commands.send(node, Verb.REBIRTH, expires_us=now_us + REBIRTH_EXPIRY_US)
