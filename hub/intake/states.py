"""How the nodes are, as their states say; and the events of nodes that come and go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from becomingone.broker.link import Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.intake.descriptions import Descriptions
from becomingone.hub.mesh.table import ChannelTable
from becomingone.wire.announce import State, parse_state

_LOG = logging.getLogger(__name__)

_GONE: Final = {State.LOST: "lost", State.DISCONNECTED: "left", State.SLEEPING: "slept"}
"""States in which a node's channels have no weight, and the event of each."""


class NodeStates:
    """Takes ``node/<node>/state``.

    Parameters
    ----------
    descriptions : Descriptions
        Tells who is a member.
    table : ChannelTable
        Whose rows count only while their node is there.
    refuse : callable
        Counts and tells what is no state of a member.
    event : callable
        Publishes an event of a kind.
    """

    def __init__(
        self,
        descriptions: Descriptions,
        table: ChannelTable,
        *,
        refuse: Callable[[Message, FrameError | TopicError], None],
        event: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self._descriptions = descriptions
        self._table = table
        self._refuse = refuse
        self._event = event

    def take(self, message: Message) -> None:
        """Take a state."""
        if self._descriptions.forgotten(message):
            return
        try:
            state = parse_state(message.payload)
            member = self._descriptions.member(message, its_own=state is not State.LOST)  # a will, or the hub itself
        except (FrameError, TopicError) as error:
            self._refuse(message, error)
            return
        before, member.state = member.state, state
        if state is before:
            return
        _LOG.info("node %s: %s", member.id, state)
        if state is State.READY:
            self._event("joined", {"node": member.id, "before": before})
        elif state in _GONE:
            self._table.set_alive(member.number, alive=False)
            if before is not None:  # it was there
                self._event(_GONE[state], {"node": member.id, "before": before})
