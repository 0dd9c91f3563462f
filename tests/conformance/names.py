"""Topics and filters."""

import unicodedata

from .behaviour import DiffersError, behaviour


def _heard(stage, topic_filter, topics):
    """Give those of the topics that a subscription to the filter brings."""
    link, heard = stage.overhear(topic_filter, stage.topic("marker"))
    speaker = stage.up("speaker")
    for topic in topics:
        speaker.publish(topic, b"!", qos=1)
    came = stage.up_to_marker(speaker, stage.topic("marker"), heard)
    stage.close(speaker)
    stage.close(link)
    return [message.topic for message in came]


def _match(stage, topic_filter, matching, other):
    came = _heard(stage, topic_filter, [*matching, *other])
    if came != list(matching):
        raise DiffersError("other topics match")


@behaviour("4.7.1.3")
def plus_stands_for_exactly_one_level(stage):
    t = stage.topic
    _match(
        stage,
        t("+", "x", "+"),
        [t("a", "x", "b"), t("é", "x", "+b"[1:])],
        [t("a", "x"), t("x", "b"), t("a", "x", "b", "c"), t("a", "b", "x")],
    )


@behaviour("4.7.1.2")
def hash_stands_for_all_levels_below_and_for_none(stage):
    t = stage.topic
    _match(stage, t("a", "#"), [t("a"), t("a", "b"), t("a", "b", "c"), t("a", "")], [t("b"), t("ab"), t("b", "a")])


@behaviour("4.7.3", minor=True)
def empty_levels_count_as_levels(stage):
    t = stage.topic
    _match(stage, t("a", "+", "b"), [t("a", "", "b"), t("a", "x", "b")], [t("a", "b"), t("a", "", "", "b")])


@behaviour("4.7.3", minor=True)
def a_leading_slash_makes_another_topic(stage):
    rooted = "/" + stage.topic("a")
    _match(stage, "/" + stage.topic("+"), [rooted], [stage.topic("a")])
    _match(stage, stage.topic("+"), [stage.topic("a")], [rooted])


@behaviour("4.7.3")
def case_and_spaces_in_names_count(stage):
    t = stage.topic
    _match(stage, t("living room"), [t("living room")], [t("Living room"), t("livingroom"), t("living room ")])


@behaviour("4.7.2")
def a_wildcard_in_front_leaves_topics_with_a_dollar_alone(stage):
    """Brokers publish their own figures below $SYS; here it is a topic of the test's own."""
    name = stage.client_id("")
    speaker = stage.up("reserved")
    for topic_filter in (f"+/{name}", "#"):
        _, heard = stage.overhear(topic_filter, name=f"listener{len(topic_filter)}")
        told = []
        speaker.publish(f"$conformance/{name}", b"!", qos=1, settled=told.append)
        stage.until(lambda told=told: told, timeout_s=0.5)  # some brokers do not answer that, ours drops it
        came = stage.up_to_marker(stage.up(f"speaker{len(topic_filter)}"), f"conformance/{name}", heard)
        if any(message.topic.startswith("$") for message in came):
            raise DiffersError("they match")


@behaviour("1.5.3", minor=True)
def names_may_be_in_any_script_and_are_not_normalised(stage):
    t = stage.topic
    name = "温度/Küche/🙂/𝒳"
    _match(stage, t(unicodedata.normalize("NFC", name)), [t(name)], [t(unicodedata.normalize("NFD", name))])


@behaviour("1.5.3", minor=True)
def a_topic_may_have_65535_bytes(stage):
    longest = stage.topic("é" * 30_000)
    longest += "x" * (65_535 - len(longest.encode()))
    _match(stage, longest, [longest], [])
