"""What comes as a topic or as a subscription's filter."""

from __future__ import annotations

from paho.mqtt.client import topic_matches_sub

from becomingone.errors import TopicError
from becomingone.wire.topics import Topics, check_filter, check_name, matches

from .targets import target

TOPICS = Topics("becomingone", "home")
MOST_LEVELS = 8
"""No topic of the page has so many below ``node/``; more may be refused."""

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
MARKS = frozenset("_-")


DEEPEST = 500
"""Levels at most of a filter that the other implementation, which calls itself for each level, can compare."""


def text(data: bytes) -> None:
    """Any bytes as a text, lone surrogates included: what a library hands over is not always UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def both(data: bytes) -> tuple[str, str]:
    """A filter, and the topic in the next line."""
    wanted, _, topic = text(data).partition("\n")
    return wanted, topic


def is_name(level: str) -> bool:
    """The rule of the page, in other words than those of the code."""
    return 1 <= len(level) <= 63 and level[0] in LETTERS and set(level) <= LETTERS | MARKS


def topic_seeds() -> list[bytes]:
    """Topics of ours and others that are nearly so."""
    below = ["node/leg/phase/stride/x", "node/leg/state", "node/leg", "node//state", "node/LEG/state", "hub/state"]
    return [b"", b"/", b"$SYS/broker", *(f"becomingone/home/{rest}".encode() for rest in below)]


def cell_topic_seeds() -> list[bytes]:
    """The cell's topics that are below no node, and others that are nearly so."""
    ours = ["request/leg/lamp", "sync/stride", "ack/leg", "clock/ping/leg", "clock/pong/leg", "cell/attic/aggregate"]
    others = ["request/leg", "sync/", "ack/leg/x", "clock/pang/leg", "cell/attic", "snapshot", "sync/A"]
    return [b"", *(f"becomingone/home/{rest}".encode() for rest in [*ours, *others])]


def filter_seeds() -> list[bytes]:
    """Filters, a line feed, and topics for them."""
    pairs = ["#", "+/+", "a/+/b\na/x/b", "a/#\na", "#\n$SYS/x", "+\n$x", "a#\na#", "a/#/b\na", "a//b\na//b", "+/\nx/"]
    return [pair.encode() for pair in pairs]


@target("text", topic_seeds, 8, parse_node=lambda data: TOPICS.parse_node(text(data)))
def node_topics(data: bytes) -> None:
    """A topic below ``node/`` is taken apart exactly when each level is a name, and put together again."""
    topic = text(data)
    *start, last = topic.split("/", 3)
    names = last.split("/")
    ours = start == ["becomingone", "home", "node"] and len(names) >= 2 and all(map(is_name, names))
    try:
        found = TOPICS.parse_node(topic)
    except TopicError:
        assert not ours or len(names) > MOST_LEVELS, "refused, though each level is a name"
        raise
    assert ours, "taken, though not each level is a name"
    assert TOPICS.node(found.node, found.kind, *found.rest) == topic
    assert check_name(found.node) == found.node
    assert check_filter(topic) == topic
    assert matches(f"{TOPICS.base}/node/+/#", topic)


CELL_TOPICS = [
    ("request", "*", "*"),
    ("sync", "*"),
    ("ack", "*"),
    ("clock", "ping", "*"),
    ("clock", "pong", "*"),
    ("cell", "*", "aggregate"),
]
"""Below the cell; a star stands for a name."""


def fits(pattern: tuple[str, ...], levels: list[str]) -> bool:
    """Whether levels are a topic of that pattern."""
    return len(pattern) == len(levels) and all(
        is_name(level) if part == "*" else level == part for part, level in zip(pattern, levels, strict=True)
    )


@target("text", cell_topic_seeds, 8, parse_cell=lambda data: TOPICS.parse_cell(text(data)))
def cell_topics(data: bytes) -> None:
    """A topic of the cell that is below no node is taken exactly when it is one of the page's."""
    topic = text(data)
    levels = topic.split("/")
    ours = levels[:2] == ["becomingone", "home"] and any(fits(pattern, levels[2:]) for pattern in CELL_TOPICS)
    try:
        found = TOPICS.parse_cell(topic)
    except TopicError:
        assert not ours, "refused, though it is on the page"
        raise
    assert ours, "taken, though it is not on the page"
    start, *others = found.pattern.split("+")
    put_together = start + "".join(name + rest for name, rest in zip(found.names, others, strict=True))
    assert topic == f"{TOPICS.base}/{put_together}"


@target(
    "text",
    filter_seeds,
    8,
    check_filter=lambda data: check_filter(text(data)),
    matches=lambda data: matches(*both(data)),
)
def filters(data: bytes) -> None:
    """Which filters MQTT allows, and which topics they take: as another implementation has it."""
    wanted, topic = both(data)
    matches(wanted, topic)
    assert check_filter(wanted) == wanted
    wanted.encode()
    comparable = len(wanted) < DEEPEST and "+" not in topic and "#" not in topic
    if topic and comparable:
        assert matches(wanted, topic) == topic_matches_sub(wanted, topic), "not as another implementation has it"
