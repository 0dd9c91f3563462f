"""Topics: built, parsed and matched by MQTT's own rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from becomingone.errors import BecomingOneError, TopicError
from becomingone.wire.topics import (
    CELL_FIGURES,
    CELL_PATTERNS,
    NAME,
    CellTopic,
    NodeTopic,
    Topics,
    check_filter,
    check_name,
    matches,
)

names = st.from_regex(NAME, fullmatch=True)

GOOD_NAMES = ["a", "0", "pi-kitchen", "thigh_x", "7-", "a" * 63]
BAD_NAMES = ["", "-a", "_a", "A", "é", "a b", "a/b", "a+", "#", "+", "$sys", "a.b", "a\0", "a\n", "\na", "a" * 64]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_good_name_is_given_back(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_and_named(name: str) -> None:
    with pytest.raises(TopicError, match="the band ") as refusal:
        check_name(name, "the band")
    assert repr(name) in str(refusal.value)
    assert isinstance(refusal.value, BecomingOneError)
    assert isinstance(refusal.value, ValueError)


BUILT = [
    (Topics("becomingone", "home").base, "becomingone/home"),
    (Topics("a/b2/c-d", "lab").base, "a/b2/c-d/lab"),
    (Topics("r", "c").node("n"), "r/c/node/n"),
    (Topics("r", "c").node("n", "x", "y"), "r/c/node/n/x/y"),
    (Topics("r", "c").state("n"), "r/c/node/n/state"),
    (Topics("r", "c").about("n"), "r/c/node/n/about"),
    (Topics("r", "c").health("n"), "r/c/node/n/health"),
    (Topics("r", "c").phase("n", "fast", "x"), "r/c/node/n/phase/fast/x"),
    (Topics("r", "c").output_set("n", "lamp"), "r/c/node/n/output/lamp/set"),
    (Topics("r", "c").output_state("n", "lamp"), "r/c/node/n/output/lamp/state"),
    (Topics("r", "c").command("n", "rebirth"), "r/c/node/n/cmd/rebirth"),
    (Topics("r", "c").kept("n"), "r/c/node/n/kept"),
    (Topics("r", "c").oscillator("n", "fast"), "r/c/node/n/oscillator/fast"),
    (Topics("r", "c").reply("n", 2**64 - 1), "r/c/node/n/reply/18446744073709551615"),
    (Topics("r", "c").desired("n"), "r/c/node/n/desired"),
    (Topics("r", "c").request("n", "lamp"), "r/c/request/n/lamp"),
    (Topics("r", "c").operate("n", "log"), "r/c/request/n/cmd/log"),
    (Topics("r", "c").answer("n", "anna-17"), "r/c/answer/n/anna-17"),
    (Topics("r", "c").sync("fast"), "r/c/sync/fast"),
    (Topics("r", "c").ack("n"), "r/c/ack/n"),
    (Topics("r", "c").clock_ping("n"), "r/c/clock/ping/n"),
    (Topics("r", "c").clock_pong("n"), "r/c/clock/pong/n"),
    (Topics("r", "c").aggregate("lab"), "r/c/cell/lab/aggregate"),
    (Topics("r", "c").hub_state, "r/c/hub/state"),
    (Topics("r", "c").snapshot, "r/c/snapshot"),
    (Topics("r", "c").figure("order"), "r/c/order"),
    (Topics("r", "c").figure("order", "fast"), "r/c/band/fast/order"),
    (Topics("r", "c").event("joined"), "r/c/event/joined"),
]


@pytest.mark.parametrize(("built", "expected"), BUILT)
def test_topics_are_built_as_documented(built: str, expected: str) -> None:
    assert built == expected


def test_the_figures_are_the_four_of_the_protocol() -> None:
    assert CELL_FIGURES == ("coherence", "order", "locking", "phase")


@pytest.mark.parametrize(("root", "cell"), [("", "c"), ("r/", "c"), ("/r", "c"), ("R", "c"), ("r", ""), ("r", "a/b")])
def test_a_root_or_cell_that_is_no_name_is_refused(root: str, cell: str) -> None:
    with pytest.raises(TopicError):
        Topics(root, cell)


@given(root=st.lists(names, min_size=1, max_size=3), cell=names, node=names, levels=st.lists(names, min_size=1))
@settings(max_examples=40)
def test_what_is_built_is_parsed_back(root: list[str], cell: str, node: str, levels: list[str]) -> None:
    topics = Topics("/".join(root), cell)
    assert topics.parse_node(topics.node(node, *levels)) == NodeTopic(node, levels[0], tuple(levels[1:]))


def test_a_phase_topic_is_taken_apart() -> None:
    parsed = Topics("becomingone", "home").parse_node("becomingone/home/node/pi/phase/fast/accel_x")
    assert parsed == NodeTopic("pi", "phase", ("fast", "accel_x"))


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "r/c/node/n",
        "r/c/node/",
        "r/c/node//state",
        "r/c/node/n/",
        "r/c/node/n/phase//x",
        "r/c/node/N/state",
        "r/c/node/n/phase/fast/é",
        "r/c/node/n/state\n",
        "r/c/node/n/+",
        "r/c/hub/state",
        "r/c2/node/n/state",
        "r2/c/node/n/state",
        "x/r/c/node/n/state",
        "$SYS/broker/uptime",
        "r/c/node/" + "a" * 64 + "/state",
    ],
)
def test_a_topic_that_is_not_a_nodes_is_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        Topics("r", "c").parse_node(topic)


@given(topic=st.text(max_size=60))
def test_no_topic_does_anything_but_parse_or_be_refused(topic: str) -> None:
    topics = Topics("r", "c")
    try:
        parsed = topics.parse_node("r/c/node/" + topic)
    except TopicError:
        return
    assert topics.node(parsed.node, parsed.kind, *parsed.rest) == "r/c/node/" + topic


CELL_TOPICS = [
    (Topics("r", "c").request("n", "lamp"), "request/+/+", ("n", "lamp")),
    (Topics("r", "c").operate("n", "log"), "request/+/cmd/+", ("n", "log")),
    (Topics("r", "c").answer("n", "anna-17"), "answer/+/+", ("n", "anna-17")),
    (Topics("r", "c").sync("fast"), "sync/+", ("fast",)),
    (Topics("r", "c").ack("n"), "ack/+", ("n",)),
    (Topics("r", "c").clock_ping("n"), "clock/ping/+", ("n",)),
    (Topics("r", "c").clock_pong("n"), "clock/pong/+", ("n",)),
    (Topics("r", "c").aggregate("lab"), "cell/+/aggregate", ("lab",)),
]


@pytest.mark.parametrize(("topic", "pattern", "named"), CELL_TOPICS)
def test_a_topic_of_the_cell_is_taken_apart(topic: str, pattern: str, named: tuple[str, ...]) -> None:
    assert Topics("r", "c").parse_cell(topic) == CellTopic(pattern, named)


def test_every_pattern_is_built_and_taken_apart() -> None:
    assert {pattern for _, pattern, _ in CELL_TOPICS} == set(CELL_PATTERNS)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "r/c",
        "r/c/",
        "sync/fast",
        "r/c2/sync/fast",
        "r/c/sync",
        "r/c/sync/",
        "r/c/sync/Fast",
        "r/c/sync/fast/x",
        "r/c/sync/fast\n",
        "r/c/sync/+",
        "r/c/clock/n",
        "r/c/clock/pang/n",
        "r/c/cell/lab",
        "r/c/cell/lab/aggregate/x",
        "r/c/request/n",
        "r/c/request//lamp",
        "r/c/node/n/state",
        "x/r/c/sync/fast",
        "r/c/sync/" + "a" * 64,
    ],
)
def test_a_topic_that_is_none_of_them_is_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        Topics("r", "c").parse_cell(topic)


# The examples of MQTT 3.1.1, 4.7.1 and 4.7.2, and some that are easily got wrong.
MATCHES = [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/tennis/player1/#", "sport/tennis/player2", False),
    ("sport/#", "sport", True),
    ("#", "sport", True),
    ("#", "/", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("+/tennis/#", "sport/tennis", True),
    ("sport", "sport", True),
    ("sport", "Sport", False),
    ("sport", "sport/", False),
    ("sport/", "sport", False),
    ("sport/+/player1", "sport/tennis/player1", True),
    ("sport/+/player1", "sport/tennis/player2", False),
    ("sport/+/player1", "sport//player1", True),
    ("#", "$SYS/broker", False),
    ("+/broker", "$SYS/broker", False),
    ("+", "$SYS", False),
    ("$SYS/#", "$SYS/broker", True),
    ("$SYS/#", "$SYS", True),
    ("$SYS/+/uptime", "$SYS/broker/uptime", True),
    ("a/#", "a/$SYS", True),
    ("a/+", "a/$SYS", True),
]


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHES)
def test_filters_match_as_mqtt_says(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


levels = st.sampled_from(["a", "b", "", "$a", "a$"])


@given(
    wanted=st.lists(st.one_of(levels, st.just("+")), min_size=1, max_size=5),
    end=st.sampled_from([[], ["#"]]),
    given_levels=st.lists(levels, min_size=1, max_size=5),
)
def test_filters_match_as_paho_matches(wanted: list[str], end: list[str], given_levels: list[str]) -> None:
    topic_filter, topic = "/".join([*wanted, *end]), "/".join(given_levels)
    assert matches(topic_filter, topic) == topic_matches_sub(topic_filter, topic)


@pytest.mark.parametrize(
    "topic_filter", ["#", "+", "a", "a/#", "+/a/#", "/", "a//b", "$SYS/#", "é", "a b", "x" * 65_535, "é" * 32_767]
)
def test_a_filter_that_mqtt_allows_is_given_back(topic_filter: str) -> None:
    assert check_filter(topic_filter) == topic_filter


@pytest.mark.parametrize(
    "topic_filter",
    ["", "a/#/b", "#/a", "a#", "a/#b", "a+", "+a/b", "a/+b", "##", "++", "a\0", "x" * 65_536, "é" * 32_768, "\ud800"],
)
def test_a_filter_that_mqtt_forbids_is_refused(topic_filter: str) -> None:
    with pytest.raises(TopicError):
        check_filter(topic_filter)


def test_no_two_members_have_the_same_client_id() -> None:
    """Names may hold - and _, but no dot."""
    members = [
        Topics("a", "b-c").client_id("node", "d"),
        Topics("a-b", "c").client_id("node", "d"),
        Topics("a", "b").client_id("node", "c-d"),
        Topics("a/b", "c").client_id("hub"),
        Topics("a", "b").client_id("hub"),
        Topics("a", "b").client_id("node", "hub"),
    ]
    assert len(set(members)) == len(members)
    assert Topics("becomingone", "home").client_id("node", "kitchen") == "becomingone.home.node.kitchen"
