"""What the simulated broker makes of messages, against the standard: quality, retention, order."""

import pytest

from becomingone.sim.packets import Puback, Publish
from becomingone.sim.session import Limits

from .rig import Rig

# Quality of service


@pytest.mark.parametrize(("published", "subscribed"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("retained", [False, True])
def test_a_message_comes_at_the_lesser_of_both_qualities(published, subscribed, retained):
    rig = Rig()
    listener = rig.raw("listener")
    speaker = rig.link("speaker").link
    if not retained:
        listener.subscribe("t", subscribed)
        rig.run()
    speaker.publish("t", b"!", qos=published, retain=retained)
    rig.run()
    if retained:
        listener.subscribe("t", subscribed)
        rig.run()
    (came,) = listener.publications
    assert (came.qos, came.retain, came.dup) == (min(published, subscribed), retained, False)
    assert (came.number > 0) == (came.qos > 0)


def test_a_message_comes_once_at_the_greatest_quality_of_overlapping_subscriptions():
    rig = Rig()
    listener = rig.raw("listener")
    for topic_filter, qos in (("a/#", 0), ("a/+", 1), ("a/b", 0)):
        listener.subscribe(topic_filter, qos)
    rig.link("speaker").link.publish("a/b", b"!", qos=1)
    rig.run()
    assert [packet.qos for packet in listener.publications] == [1]


def test_a_subscription_is_replaced_by_one_to_the_same_filter():
    rig = Rig()
    listener = rig.raw("listener")
    speaker = rig.link("speaker").link
    speaker.publish("a", b"kept", qos=1, retain=True)
    for qos in (1, 0):
        listener.subscribe("a", qos)
        rig.run()
    speaker.publish("a", b"live", qos=1)
    rig.run()
    assert [(p.payload, p.qos, p.retain) for p in listener.publications] == [
        (b"kept", 1, True),
        (b"kept", 0, True),  # 3.8.4-3: it is sent again
        (b"live", 0, False),
    ]


def test_no_more_is_under_way_than_may_be():
    rig = Rig(limits=Limits(max_inflight=3))
    listener = rig.raw("listener")
    listener.subscribe("t")
    speaker = rig.link("speaker").link
    rig.run()
    for number in range(10):
        speaker.publish("t", b"%d" % number, qos=1)
    rig.run()
    seen = 3
    while seen < 10:
        assert len(listener.publications) == seen
        listener.acknowledge(listener.publications[seen - 3])
        rig.run()
        seen += 1
    assert [int(p.payload) for p in listener.publications] == list(range(10))
    assert len({p.number for p in listener.publications[-3:]}) == 3


def test_packet_identifiers_go_round_and_are_never_used_twice_at_a_time():
    rig = Rig(limits=Limits(max_inflight=5))
    listener = rig.raw("listener")
    listener.subscribe("t")
    speaker = rig.link("speaker").link
    rig.run()
    speaker.publish("t", b"never acknowledged", qos=1)
    rig.run()
    (held,) = listener.publications
    rig.broker._sessions._by_client["listener"]._number = 65_533
    for _ in range(5):
        speaker.publish("t", b"!", qos=1)
        rig.run()
        listener.acknowledge(listener.publications[-1])
        rig.run()
    assert held.number == 1
    assert [packet.number for packet in listener.publications[1:]] == [65_534, 65_535, 2, 3, 4]


def test_a_message_that_is_sent_twice_is_a_message_twice():
    """3.1.1, 4.3.2: at least once."""
    rig = Rig()
    listener, speaker = rig.raw("listener"), rig.raw("speaker")
    listener.subscribe("t")
    rig.run()
    speaker.send(Publish("t", b"!", 1, number=7))
    speaker.send(Publish("t", b"!", 1, number=7, dup=True))
    rig.run()
    assert [p.dup for p in listener.publications] == [False, False]  # 3.3.1-3: the flag does not travel
    assert [p for p in speaker.packets if isinstance(p, Puback)] == [Puback(7), Puback(7)]


def test_a_link_is_told_once_of_a_message_that_was_doubled_on_the_way():
    rig = Rig(paths=[{"up": {"duplicate": 1.0}}])
    heard = rig.link("listener", "t")
    speaker = rig.link("speaker").link
    told = []
    for number in range(20):
        speaker.publish("t", b"%d" % number, qos=1, settled=told.append)
    rig.run()
    assert told == [True] * 20
    assert [int(payload) for payload in heard.payloads] == [number for number in range(20) for _ in range(2)]


# Retained messages


def test_retained_messages_are_replaced_cleared_and_sent_in_order_of_topic():
    rig = Rig()
    speaker = rig.link("speaker").link
    for topic, payload in (("r/b", b"1"), ("r/a", b"2"), ("r/c", b"3"), ("r/b", b"4"), ("r/c", b"")):
        speaker.publish(topic, payload, qos=1, retain=True)
    rig.run()
    heard = rig.link("late", "r/#")
    assert [(m.topic, m.payload, m.retained) for m in heard] == [("r/a", b"2", True), ("r/b", b"4", True)]
    assert rig.link("later", "#").payloads == [b"2", b"4"]
    assert rig.link("exact", "r/b", "r/c").payloads == [b"4"]


def test_an_empty_retained_message_is_delivered_too():
    rig = Rig()
    heard = rig.link("listener", "r")
    speaker = rig.link("speaker").link
    speaker.publish("r", b"x", retain=True)
    speaker.publish("r", b"", retain=True)
    rig.run()
    assert [(m.payload, m.retained) for m in heard] == [(b"x", False), (b"", False)]


# Order


def test_messages_are_held_back_and_those_of_one_topic_and_quality_stay_in_order():
    rig = Rig(paths=[{"down": {"reorder": 0.3, "reorder_ms": 200}}])
    heard = rig.link("listener", "#", qos=1)
    speaker = rig.link("speaker").link
    sent = [(f"t{number % 3}", b"%d" % number, number // 3 % 2) for number in range(300)]
    for topic, payload, qos in sent:
        speaker.publish(topic, payload, qos=qos)
        rig.run(0.01)
    rig.run(5.0)
    came = [(message.topic, message.payload) for message in heard]
    everything = [(topic, payload) for topic, payload, _ in sent]
    assert sorted(came) == sorted(everything)
    assert came != everything
    for topic in ("t0", "t1", "t2"):
        for qos in (0, 1):
            mine = [payload for t, payload, q in sent if (t, q) == (topic, qos)]
            assert [payload for t, payload in came if t == topic and payload in mine] == mine
