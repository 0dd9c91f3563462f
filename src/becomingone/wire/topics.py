"""The topics of a cell: built here, parsed here, nowhere else.

Every level that we name matches ``[a-z0-9][a-z0-9_-]{0,62}``; the root may be several such levels. Wildcards
follow MQTT 3.1.1, section 4.7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from becomingone.errors import TopicError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What a level of a topic may be: a cell, node, band, channel, device or event kind."""

CELL_FIGURES: Final = ("coherence", "order", "locking", "phase")
"""The plain-text figures that the hub publishes for the cell and for each band."""


def check_name(value: str, what: str = "name") -> str:
    """Give `value` back when it may be a level of a topic.

    Raises
    ------
    TopicError
        When it does not match `NAME`.
    """
    if not NAME.fullmatch(value):
        msg = f"{what} {value!r} must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit"
        raise TopicError(msg)
    return value


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a subscription's filter takes a topic (MQTT 3.1.1, 4.7.1 and 4.7.2).

    A filter that begins with a wildcard does not take topics that begin with ``$``.
    """
    wanted = topic_filter.split("/")
    given = topic.split("/")
    if given[0].startswith("$") and wanted[0] in ("#", "+"):
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(given) or level not in ("+", given[position]):
            return False
    return len(wanted) == len(given)


def check_filter(topic_filter: str) -> str:
    """Give a subscription's filter back when MQTT allows it (MQTT 3.1.1, 4.7.1 and 4.7.3).

    Raises
    ------
    TopicError
        When it is empty, too long or no UTF-8, holds a NUL, or has a wildcard inside a level or ``#`` before the end.
    """
    levels = topic_filter.split("/")
    try:
        size = len(topic_filter.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= 65_535 or "\0" in topic_filter:
        msg = "a topic filter is 1 to 65,535 bytes of UTF-8 without a NUL"
        raise TopicError(msg)
    for position, level in enumerate(levels):
        if level not in {"#", "+"} and ("#" in level or "+" in level):
            msg = f"a wildcard stands alone in its level, not as in {level!r}"
            raise TopicError(msg)
        if level == "#" and position != len(levels) - 1:
            msg = f"# is the last level of a filter: {topic_filter!r}"
            raise TopicError(msg)
    return topic_filter


@dataclass(frozen=True, slots=True)
class NodeTopic:
    """A parsed topic below ``node/<node>/``.

    Parameters
    ----------
    node : str
        The node that the branch belongs to.
    kind : str
        The level after it: ``state``, ``about``, ``health``, ``phase``, ``output``, ...
    rest : tuple of str
        The levels after that: ``(band, channel)`` of a phase frame, ``(device, "set")`` of an output command.
    """

    node: str
    kind: str
    rest: tuple[str, ...]


class Topics:
    """The topics of one cell.

    Parameters
    ----------
    root : str
        One or more levels, ``becomingone`` unless configured.
    cell : str
        One deployment: a home, a laboratory, a robot.
    """

    def __init__(self, root: str, cell: str) -> None:
        for level in root.split("/"):
            check_name(level, "topic root")
        self.base = f"{root}/{check_name(cell, 'cell')}"
        self._node = f"{self.base}/node/"

    def client_id(self, *levels: str) -> str:
        """Build the MQTT client identifier of a member: ``becomingone.home.hub``, ``becomingone.home.node.kitchen``.

        No name holds a dot, so no two members of any cells have the same one.
        """
        return ".".join((*self.base.split("/"), *levels))

    def node(self, node: str, *levels: str) -> str:
        """Build ``node/<node>/...``, the branch that one node writes below."""
        return self._node + "/".join((node, *levels))

    def state(self, node: str) -> str:
        """Build the topic of a node's liveness."""
        return self.node(node, "state")

    def about(self, node: str) -> str:
        """Build the topic of a node's self-description."""
        return self.node(node, "about")

    def health(self, node: str) -> str:
        """Build the topic of a node's vital figures."""
        return self.node(node, "health")

    def phase(self, node: str, band: str, channel: str) -> str:
        """Build the topic of a channel's phase frames in a band."""
        return self.node(node, "phase", band, channel)

    def output_set(self, node: str, device: str) -> str:
        """Build the topic on which the hub commands an output."""
        return self.node(node, "output", device, "set")

    def output_state(self, node: str, device: str) -> str:
        """Build the topic on which a node tells what an output does and why."""
        return self.node(node, "output", device, "state")

    def command(self, node: str, verb: str) -> str:
        """Build the topic of a command to a node as a whole."""
        return self.node(node, "cmd", verb)

    @property
    def hub_state(self) -> str:
        """The hub's own liveness."""
        return f"{self.base}/hub/state"

    @property
    def snapshot(self) -> str:
        """The whole state of the mesh, as JSON."""
        return f"{self.base}/snapshot"

    def figure(self, name: str, band: str | None = None) -> str:
        """Build the topic of one of `CELL_FIGURES`: the cell's overall one, or a band's."""
        return f"{self.base}/{name}" if band is None else f"{self.base}/band/{band}/{name}"

    def event(self, kind: str) -> str:
        """Build the topic of events of a kind; the last one is also retained at ``<topic>/last``."""
        return f"{self.base}/event/{kind}"

    def parse_node(self, topic: str) -> NodeTopic:
        """Take a topic below ``node/`` apart.

        Raises
        ------
        TopicError
            When it is not below this cell's ``node/``, or a level of it is not a name.
        """
        if not topic.startswith(self._node):
            msg = f"{topic!r} is not below {self._node}"
            raise TopicError(msg)
        levels = topic[len(self._node) :].split("/")
        if len(levels) < 2:
            msg = f"{topic!r} names no node and kind"
            raise TopicError(msg)
        for level in levels:
            check_name(level, "topic level")
        return NodeTopic(levels[0], levels[1], tuple(levels[2:]))
