"""Who may do what at the simulated broker, and what was refused and dropped, by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, cast

from becomingone.broker.access import Role, rules
from becomingone.sim.events import Note
from becomingone.sim.packets import Publish
from becomingone.wire.topics import Topics, matches

Action = Literal["connect", "publish", "subscribe", "receive"]

Rules = Callable[[str, Action, str], bool]
"""``rules(user, action, topic)``: whether the user may. For ``connect`` the topic is the client id; a will is asked for
as ``publish`` when it is due (as Mosquitto does); ``receive`` is asked for each message that a subscription brings."""


def cell_rules(topics: Topics) -> Rules:
    """Make the rules of a provisioned cell, those that Mosquitto is given (`becomingone.broker.access`).

    Parameters
    ----------
    topics : Topics
        The cell's. Users are called ``hub``, ``<node>``, ``operator:<name>``, ``observer:<name>``, ``relay:<cell>``.
    """
    known: dict[str, list[tuple[str, str]]] = {}

    def may(user: str, action: Action, topic: str) -> bool:
        granted = known.get(user)
        if granted is None:
            kind, _, name = user.rpartition(":")
            role = cast("Role", kind or (user if user == "hub" else "node"))
            granted = known[user] = [(str(way), topic_filter) for way, topic_filter in rules(role, topics, name)]
        if action in ("connect", "subscribe"):  # a subscription brings what its user may read
            return True
        wanted = "write" if action == "publish" else "read"
        return any(way == wanted and matches(topic_filter, topic) for way, topic_filter in granted)

    return may


@dataclass(slots=True)
class Access:
    """Asks the rules, and counts.

    Parameters
    ----------
    rules : callable or None
        None: everybody may everything.
    note : callable
        Takes note of what was refused and dropped.
    counts : Counter of str
        By reason.
    """

    rules: Rules | None
    note: Note
    counts: Counter[str] = field(default_factory=Counter[str])

    def may(self, user: str, action: Action, client_id: str, topic: str) -> bool:
        """Tell whether a user may, and count it when not."""
        if self.rules is None or self.rules(user, action, topic):
            return True
        self.refused(f"{action} refused", client_id, topic)
        return False

    def refused(self, reason: str, client_id: str, topic: str = "") -> None:
        """Count something that was refused."""
        self.counts[reason] += 1
        self.note("refuse", client_id, topic, why=reason)

    def dropped(self, client_id: str, message: Publish, reason: str) -> None:
        """Count a message that a client will not be given."""
        self.counts[f"dropped: {reason}"] += 1
        self.note("drop", client_id, message.topic, message.payload, reason)
