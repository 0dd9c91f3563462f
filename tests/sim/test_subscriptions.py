"""The tree of subscriptions finds whom the plain rule of MQTT finds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.sim.subscriptions import Subscriptions
from becomingone.wire.topics import matches

LEVEL = st.sampled_from(["a", "b", "", "$a", "é"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join)
FILTER = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]) or "#",
    st.lists(st.one_of(LEVEL, st.just("+")), min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
) | st.just("#")
ASKED = st.lists(st.tuples(st.sampled_from("xyz"), FILTER, st.sampled_from([0, 1])), max_size=12)


@settings(deadline=None)
@given(ASKED, st.sets(st.integers(0, 11)), st.lists(TOPIC, min_size=1, max_size=6))
def test_it_finds_whom_the_rule_finds(asked, removed, topics):
    tree = Subscriptions()
    held = {}
    for client, topic_filter, qos in asked:
        tree.matching(topics[0])  # remembered, and to be forgotten
        tree.add(client, topic_filter, qos)
        held[client, topic_filter] = qos
    for index in removed:
        if index < len(asked):
            client, topic_filter, _ = asked[index]
            tree.remove(client, topic_filter)
            held.pop((client, topic_filter), None)
    for topic in topics * 2:
        expected = {}
        for (client, topic_filter), qos in held.items():
            if matches(topic_filter, topic):
                expected[client] = max(qos, expected.get(client, 0))
        assert tree.matching(topic) == expected


def test_a_wildcard_in_front_leaves_dollar_topics_alone():
    tree = Subscriptions()
    for client, topic_filter in (("all", "#"), ("one", "+/x"), ("named", "$SYS/#"), ("inner", "$SYS/+")):
        tree.add(client, topic_filter, 0)
    assert set(tree.matching("$SYS/x")) == {"named", "inner"}
    assert set(tree.matching("a/x")) == {"all", "one"}
    assert set(tree.matching("$SYS")) == {"named"}
