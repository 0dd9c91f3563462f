"""The topics of a cell: built here, parsed here, nowhere else.

Every level that we name matches ``[a-z0-9][a-z0-9_-]{0,62}``; the root may be several such levels. Wildcards
follow MQTT 3.1.1, section 4.7.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from becomingone.errors import TopicError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What a level of a topic may be: a cell, node, band, channel, device or event kind."""

_NAMES: Final = re.compile(rf"{NAME.pattern}(?:/{NAME.pattern}){{1,7}}")
_MAX_BELOW: Final = 8 * 64
"""Characters below ``node/``: ours have four levels at most, and each level of a long one would cost 70 bytes."""

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


class NodeTopic(NamedTuple):
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


class CellTopic(NamedTuple):
    """A parsed topic of the cell that is below no node: one of `CELL_PATTERNS`.

    Parameters
    ----------
    pattern : str
        Which one.
    names : tuple of str
        What stands in it for ``+``: the band of ``sync/+``, the node and device of ``request/+/+``.
    """

    pattern: str
    names: tuple[str, ...]


CELL_PATTERNS: Final = (
    "request/+/+",
    "request/+/cmd/+",
    "answer/+/+",
    "sync/+",
    "ack/+",
    "clock/ping/+",
    "clock/pong/+",
    "cell/+/aggregate",
)
"""The topics, below the cell's base, that hold names and are below no node; as filters."""


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

    def kept(self, node: str) -> str:
        """Build the topic on which a node tells where begins what it keeps for the hub."""
        return self.node(node, "kept")

    def output_set(self, node: str, device: str) -> str:
        """Build the topic on which the hub commands an output."""
        return self.node(node, "output", device, "set")

    def output_state(self, node: str, device: str) -> str:
        """Build the topic on which a node tells what an output does and why."""
        return self.node(node, "output", device, "state")

    def command(self, node: str, verb: str) -> str:
        """Build the topic of a command to a node as a whole."""
        return self.node(node, "cmd", verb)

    def oscillator(self, node: str, band: str) -> str:
        """Build the topic of a node's control oscillator in a band."""
        return self.node(node, "oscillator", band)

    def reply(self, node: str, number: int) -> str:
        """Build the topic on which a node answers the command of an id."""
        return self.node(node, "reply", str(number))

    def desired(self, node: str) -> str:
        """Build the topic of the configuration that a node should have."""
        return self.node(node, "desired")

    def request(self, node: str, device: str) -> str:
        """Build the topic on which anybody asks for an output to do something."""
        return f"{self.base}/request/{node}/{device}"

    def operate(self, node: str, verb: str) -> str:
        """Build the topic on which an operator asks for a command to a node as a whole."""
        return f"{self.base}/request/{node}/cmd/{verb}"

    def answer(self, node: str, token: str) -> str:
        """Build the topic on which the hub tells the operator what became of that."""
        return f"{self.base}/answer/{node}/{token}"

    def sync(self, band: str) -> str:
        """Build the topic of the mesh's field in a band, for the oscillators."""
        return f"{self.base}/sync/{band}"

    def ack(self, node: str) -> str:
        """Build the topic on which the hub acknowledges what it has kept of a node."""
        return f"{self.base}/ack/{node}"

    def clock_ping(self, node: str) -> str:
        """Build the topic on which a node asks for the time."""
        return f"{self.base}/clock/ping/{node}"

    def clock_pong(self, node: str) -> str:
        """Build the topic on which the hub answers it."""
        return f"{self.base}/clock/pong/{node}"

    def aggregate(self, child: str) -> str:
        """Build the topic on which a child cell passes its sums on."""
        return f"{self.base}/cell/{child}/aggregate"

    @property
    def hub_state(self) -> str:
        """The hub's own liveness."""
        return f"{self.base}/hub/state"

    @property
    def hub_about(self) -> str:
        """Which hub it is, and where."""
        return f"{self.base}/hub/about"

    @property
    def hub_health(self) -> str:
        """The hub's vital figures."""
        return f"{self.base}/hub/health"

    def witness(self, layer: str) -> str:
        """Build the topic of what a layer of the hub's witnesses said last."""
        return f"{self.base}/witness/{layer}"

    def audit(self, name: str, what: str) -> str:
        """Build the topic of what a witness hub says: ``state``, ``report`` or ``event``."""
        return f"{self.base}/audit/{name}/{what}"

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
            msg = f"{topic[:_MAX_BELOW]!r} is not below {self._node}"
            raise TopicError(msg)
        below = topic[len(self._node) :]
        if len(below) > _MAX_BELOW:
            msg = f"a topic has at most {_MAX_BELOW} characters below {self._node}, not {len(below)}"
            raise TopicError(msg)
        levels = below.split("/")
        if not _NAMES.fullmatch(below):
            if len(levels) < 2:
                msg = f"{topic!r} names no node and kind"
                raise TopicError(msg)
            for level in levels:
                check_name(level, "topic level")
        return NodeTopic(levels[0], levels[1], tuple(levels[2:]))

    def parse_cell(self, topic: str) -> CellTopic:
        """Take a topic of one of `CELL_PATTERNS` apart.

        Raises
        ------
        TopicError
            When it is of none, or a level of it is not a name.
        """
        below = topic.removeprefix(f"{self.base}/")
        pattern = next((pattern for pattern in CELL_PATTERNS if below != topic and matches(pattern, below)), None)
        if pattern is None:
            msg = f"{topic[:_MAX_BELOW]!r} is none of {', '.join(CELL_PATTERNS)} below {self.base}"
            raise TopicError(msg)
        pairs = zip(pattern.split("/"), below.split("/"), strict=True)
        return CellTopic(pattern, tuple(check_name(level, "topic level") for wanted, level in pairs if wanted == "+"))
