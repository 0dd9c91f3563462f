"""What the simulated broker refuses."""

import random

import pytest

from becomingone.broker.link import Will
from becomingone.broker.reasons import Reason
from becomingone.sim.access import cell_rules
from becomingone.sim.broker import SimBroker
from becomingone.sim.packets import Code, Disconnect, Ping, Publish
from becomingone.sim.session import Limits
from becomingone.wire.topics import Topics

from .rig import Rig

WILL = Will("will", b"lost")


# What is refused


def test_rules():
    asked = []

    def rules(user, action, topic):
        asked.append((user, action))
        return not (action == "connect" and topic == "bad") and not topic.startswith("no/")

    rig = Rig(rules=rules)
    bad = rig.link("bad", user="anna")
    assert set(bad.link.metrics.failures) == {Reason.CREDENTIALS}
    assert not bad.link.connected
    bad.link.close()
    heard = rig.link("c.listener", "+/x", will=Will("no/will", b""))
    told = []
    for topic in ("no/x", "yes/x"):
        heard.link.publish(topic, b"!", qos=1, settled=told.append)
    heard.link.publish("no/x", b"?", qos=0)
    rig.run()
    assert told == [False, True]
    assert [message.topic for message in heard] == ["yes/x"]
    curious = rig.link("curious", "no/#")
    assert not curious.link.connected
    assert set(curious.link.metrics.failures) == {Reason.SUBSCRIPTION}
    curious.link.close()
    modest = rig.link("modest")
    modest.link.subscribe("no/figures", lambda _message: None, optional=True)
    rig.run()
    assert modest.link.connected
    assert modest.link.metrics.failures == {Reason.SUBSCRIPTION: 1}
    rig.broker.cut("c.listener")
    assert rig.broker.retained == {}
    counts = rig.broker.counts
    attempts = bad.link.metrics.attempts, curious.link.metrics.attempts
    assert counts == {"connect refused": attempts[0], "publish refused": 3, "subscribe refused": attempts[1] + 1}
    assert ("anna", "connect") in asked
    assert ("listener", "receive") in asked  # a user is called as its client id ends, where nothing else is said


def test_what_may_not_be_read_is_not_delivered():
    rig = Rig(rules=lambda user, action, topic: action != "receive" or user != "b")
    a, b = rig.link("a", "t"), rig.link("b", "t")
    rig.link("speaker").link.publish("t", b"!")
    rig.run()
    assert (a.payloads, b.payloads) == ([b"!"], [])


def test_3_1_1_acknowledges_what_it_refuses():
    rig = Rig(limits=Limits(version=4), rules=lambda _user, action, _topic: action != "publish")
    told = []
    rig.link("speaker").link.publish("t", b"!", qos=1, settled=told.append)
    rig.run()
    assert told == [True]
    assert rig.broker.trace == []


def test_the_rules_of_a_provisioned_cell():
    may = cell_rules(Topics("becomingone", "home"))
    base = "becomingone/home"
    assert may("kitchen", "publish", f"{base}/node/kitchen/state")
    assert not may("kitchen", "publish", f"{base}/node/attic/state")
    assert not may("kitchen", "publish", f"{base}/node/kitchen/cmd/restart")
    assert not may("kitchen", "receive", f"{base}/node/attic/cmd/rebirth")
    assert may("hub", "receive", f"{base}/node/attic/phase/stride/tone")
    assert may("operator:anna", "publish", f"{base}/request/kitchen/light")
    assert not may("observer:wall", "publish", f"{base}/coherence")
    assert may("observer:wall", "receive", f"{base}/coherence")


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "x" * 65_536])
def test_a_topic_that_is_none_ends_the_connection(topic):
    rig = Rig()
    client = rig.raw("offender", will=WILL)
    client.send(Publish(topic, b"!"))
    rig.run()
    assert Disconnect(Code.NO_TOPIC) in client.packets
    assert rig.broker.counts == {"topic name invalid": 1}
    assert rig.broker.retained == {"will": b"lost"}


def test_filters_that_are_none_are_refused():
    rig = Rig()
    client = rig.raw("odd")
    for topic_filter in ("a/#/b", "a+", "$share/group/t"):
        client.subscribe(topic_filter)
    rig.run()
    assert client.granted == [Code.NO_FILTER, Code.NO_FILTER, Code.NO_SHARED]
    assert client.broke == []


@pytest.mark.parametrize("packet", [Ping(), Publish("t", b"!")])
def test_whatever_comes_before_connect_ends_the_connection(packet):
    rig = Rig()
    client = rig.raw("hasty")
    client._hello = packet
    rig.broker.network.dial("other", client, rig.broker)
    rig.run()
    assert client.broke == [Reason.BROKEN]
    assert rig.broker.trace == []


def test_a_second_connect_ends_the_connection():
    rig = Rig()
    client = rig.raw("twice")
    client.send(client._hello)
    rig.run()
    assert client.broke == [Reason.BROKEN]


# Size: the packets' own, head included


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("size", [127, 128, 16_383, 16_384, 70_000])
def test_the_greatest_packet_is_counted_to_the_byte(qos, size):
    def packet(length):
        return Publish("topic", bytes(length), qos, number=qos)

    length = next(length for length in range(size, -1, -1) if packet(length).size <= size)
    for limit, taken in ((packet(length).size, True), (packet(length).size - 1, False)):
        rig = Rig(limits=Limits(max_packet=limit))
        client = rig.raw("large")
        client.send(packet(length))
        rig.run()
        assert (len(rig.broker.trace) == 1) == taken
        assert (Disconnect(Code.TOO_LARGE) in client.packets) != taken


def test_a_link_knows_what_its_broker_takes():
    rig = Rig(limits=Limits(max_packet=1000))
    link = rig.link("speaker").link
    assert not link.publish("t", bytes(1000), qos=1)
    assert not link.publish("t", bytes(1000))
    assert link.publish("t", bytes(900), qos=1)
    rig.run()
    assert link.metrics.failures == {Reason.TOO_LARGE: 2}
    assert link.metrics.connects == 1


def test_a_message_that_always_ends_the_connection_is_given_up():
    """3.1.1 does not tell its limit, and what was not acknowledged is sent again, for ever but for this."""
    rig = Rig(limits=Limits(version=4, max_packet=1000))
    heard = rig.link("listener", "t")
    link = rig.link("speaker").link
    told = []
    for payload in (b"before", bytes(2000), b"after"):
        link.publish("t", payload, qos=1, settled=lambda known, payload=payload: told.append((len(payload), known)))
    rig.run(300.0)
    assert sorted(told) == [(5, True), (6, True), (2000, False)]
    assert set(heard.payloads) == {b"before", b"after"}
    assert link.metrics.failures[Reason.MESSAGE] == 1


def test_the_broker_s_own_signature_stays():
    """What others build on: a scheduler and a random stream are enough."""
    rig = Rig()
    broker = SimBroker(rig.scheduler, random.Random(3))
    link = broker.link("c", None)
    link.start()
    rig.run()
    assert link.connected
    assert (broker.trace, broker.retained) == ([], {})
