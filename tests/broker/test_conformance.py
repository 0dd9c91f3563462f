"""The same behaviour from every broker: what the rest of the project relies on."""

import pytest

from becomingone.broker.link import Message, Will
from becomingone.errors import LinkError, TopicError

from .fabrics import EmbeddedFabric, MosquittoFabric, SimFabric


@pytest.fixture(
    params=[
        pytest.param(SimFabric, id="simulated"),
        pytest.param(EmbeddedFabric, id="embedded"),
        pytest.param(MosquittoFabric, id="mosquitto", marks=pytest.mark.mosquitto),
    ]
)
def fabric(request):
    made = request.param()
    yield made
    made.close()
    assert not getattr(made, "failures", []), "an exception was left to the event loop"


def up(fabric, link):
    link.start()
    assert fabric.until(lambda: link.connected)
    return link


def listener(fabric, *filters, client_id="listener", qos=0):
    link = fabric.link(client_id)
    heard: list[Message] = []
    for topic_filter in filters:
        link.subscribe(topic_filter, heard.append, qos=qos)
    return up(fabric, link), heard


def topics(heard):
    return [message.topic for message in heard]


@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_arrives_once_in_order(fabric, qos):
    _, heard = listener(fabric, "a/b", qos=qos)
    speaker = up(fabric, fabric.link("speaker"))
    for number in range(50):
        assert speaker.publish("a/b", b"%d" % number, qos=qos)
    assert fabric.until(lambda: len(heard) == 50)
    assert [message.payload for message in heard] == [b"%d" % number for number in range(50)]
    assert not any(message.retained for message in heard)


def test_wildcards(fabric):
    _, one_level = listener(fabric, "x/+/z", client_id="one")
    _, all_below = listener(fabric, "x/#", client_id="all")
    speaker = up(fabric, fabric.link("speaker"))
    for topic in ("x", "x/y", "x/y/z", "x/y/z/w", "other", "x/1/z"):
        speaker.publish(topic, b"!")
    assert fabric.until(lambda: len(all_below) == 5 and len(one_level) == 2)
    assert topics(one_level) == ["x/y/z", "x/1/z"]
    assert topics(all_below) == ["x", "x/y", "x/y/z", "x/y/z/w", "x/1/z"]


def test_binary_payloads_are_left_alone(fabric):
    _, heard = listener(fabric, "bytes")
    speaker = up(fabric, fabric.link("speaker"))
    payloads = [b"", bytes(range(256)), b"\x00" * 70_000]
    for payload in payloads:
        speaker.publish("bytes", payload, qos=1)
    assert fabric.until(lambda: len(heard) == 3)
    assert [message.payload for message in heard] == payloads


def test_retained_messages_reach_later_subscribers(fabric):
    speaker = up(fabric, fabric.link("speaker"))
    speaker.publish("r/one", b"old", qos=1, retain=True)
    speaker.publish("r/one", b"new", qos=1, retain=True)
    speaker.publish("r/two", b"2", qos=1, retain=True)
    speaker.publish("r/two", b"", qos=1, retain=True)  # an empty one takes it back
    speaker.publish("r/done", b"done", qos=1)
    witness, seen = listener(fabric, "r/done", client_id="witness")
    speaker.publish("r/done", b"done", qos=1)
    assert fabric.until(lambda: seen)
    _, heard = listener(fabric, "r/#", client_id="late")
    assert fabric.until(lambda: heard)
    assert [(message.topic, message.payload, message.retained) for message in heard] == [("r/one", b"new", True)]
    assert witness.connected


def test_a_handler_can_answer_the_first_retained_message(fabric):
    speaker, answers = listener(fabric, "answer", client_id="speaker", qos=1)
    speaker.publish("question", b"?", qos=1, retain=True)
    _, settled = listener(fabric, "question", client_id="witness")
    assert fabric.until(lambda: settled)
    link = fabric.link("answerer")
    sent = []
    link.subscribe("question", lambda message: sent.append(link.publish("answer", message.payload, qos=1)))
    up(fabric, link)
    assert fabric.until(lambda: answers)
    assert sent == [True]


def test_nobody_is_given_what_others_subscribed_to(fabric):
    everything, all_of_it = listener(fabric, "#", client_id="everything", qos=1)
    everything.publish("kept/one", b"1", qos=1, retain=True)
    everything.publish("kept/two", b"2", qos=1, retain=True)
    assert fabric.until(lambda: len(all_of_it) == 2)
    link = fabric.link("narrow")
    heard = []
    link._arrived = heard.append  # before any routing of ours
    link.subscribe("kept/one", lambda _message: None)
    up(fabric, link)
    assert fabric.until(lambda: heard)
    everything.publish("kept/one", b"end", qos=1)
    assert fabric.until(lambda: heard[-1].payload == b"end")
    assert topics(heard) == ["kept/one", "kept/one"]


def test_the_will_is_published_when_the_link_breaks_and_not_after_a_goodbye(fabric):
    _, heard = listener(fabric, "will/#", qos=1)
    polite = up(fabric, fabric.link("polite", Will("will/polite", b"lost")))
    broken = up(fabric, fabric.link("broken", Will("will/broken", b"lost")))
    closed = []
    polite.close(lambda: closed.append(True))
    assert fabric.until(lambda: closed)
    fabric.cut(broken)
    assert fabric.until(lambda: heard)
    assert fabric.until(lambda: broken.connected)  # and it comes back by itself
    assert [(message.topic, message.payload) for message in heard] == [("will/broken", b"lost")]
    _, late = listener(fabric, "will/#", client_id="late")
    assert fabric.until(lambda: late)
    assert late[0].retained
    assert late[0].payload == b"lost"


def test_a_link_comes_back_with_its_subscriptions_after_a_broker_crash(fabric):
    link, heard = listener(fabric, "back", qos=1)
    reasons = []
    ups = []
    link.on_down(reasons.append)
    link.on_up(lambda: ups.append(True))
    fabric.crash()
    assert fabric.until(lambda: not link.connected and reasons)
    assert not link.publish("back", b"nobody")
    assert link.metrics.unsent == 1
    fabric.restart()
    assert fabric.until(lambda: ups)
    assert link.publish("back", b"again", qos=1)
    assert fabric.until(lambda: heard)
    assert [message.payload for message in heard] == [b"again"]
    assert link.metrics.connects == 2
    assert link.metrics.failures.total() >= 1


def test_the_newer_of_two_clients_with_one_id_wins(fabric):
    first = up(fabric, fabric.link("twin"))
    fallen = []
    first.on_down(lambda reason: (fallen.append(reason), first.close()))
    second = up(fabric, fabric.link("twin"))
    assert fabric.until(lambda: fallen, timeout_s=1.0) == fabric.takes_over
    assert fabric.until(lambda: second.connected)


def test_what_was_published_before_closing_arrives(fabric):
    _, heard = listener(fabric, "last", qos=1)
    speaker = up(fabric, fabric.link("speaker"))
    for number in range(20):
        speaker.publish("last", b"%d" % number, qos=1)
    closed = []
    speaker.close(lambda: closed.append(True))
    assert fabric.until(lambda: closed)
    assert not speaker.connected
    if fabric.routes_what_it_acknowledged:
        assert fabric.until(lambda: len(heard) == 20)
    numbers = [int(message.payload) for message in heard]
    assert numbers == list(range(len(numbers)))


def test_a_later_subscription_works_on_a_standing_link(fabric):
    link = up(fabric, fabric.link("late"))
    heard = []
    link.subscribe("later/+", heard.append)
    speaker = up(fabric, fabric.link("speaker"))

    def arrives() -> bool:
        speaker.publish("later/x", b"!")
        return bool(heard)

    assert fabric.until(arrives)


def test_closing_a_link_that_never_connected_calls_back(fabric):
    fabric.crash()
    link = fabric.link("alone")
    reasons = []
    link.on_down(reasons.append)
    link.start()
    assert fabric.until(lambda: reasons)
    closed = []
    link.close(lambda: closed.append(True))
    assert fabric.until(lambda: closed)
    fabric.restart()


def test_wrong_use_is_refused(fabric):
    link = up(fabric, fabric.link("wrong"))
    with pytest.raises(LinkError, match="started already"):
        link.start()
    with pytest.raises(TopicError):
        link.subscribe("a/#/b", lambda _message: None)


def test_a_sender_hears_what_became_of_each_message(fabric):
    speaker = up(fabric, fabric.link("speaker"))
    told = []
    for number in range(30):
        assert speaker.publish("s", b"%d" % number, qos=1, settled=lambda known, n=number: told.append((n, known)))
    assert fabric.until(lambda: len(told) == 30)
    assert told == [(number, True) for number in range(30)]
    assert (speaker.metrics.acknowledged, speaker.metrics.given_up) == (30, 0)
    with pytest.raises(LinkError, match="QoS 0"):
        speaker.publish("s", b"", settled=told.append)


def test_what_no_broker_acknowledged_is_known_to_be_unsent(fabric):
    speaker = up(fabric, fabric.link("speaker"))
    told = []
    reasons = []
    speaker.on_down(reasons.append)
    fabric.crash()
    taken = speaker.publish("s", b"1", qos=1, settled=told.append)  # the link may not have noticed yet
    assert fabric.until(lambda: reasons)
    assert not speaker.publish("s", b"2", qos=1, settled=told.append)
    closed = []
    speaker.close(lambda: closed.append(True))
    assert fabric.until(lambda: closed)
    assert told == [False] * taken
    assert speaker.metrics.given_up == taken
    fabric.restart()
