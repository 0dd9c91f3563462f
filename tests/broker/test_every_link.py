"""What our link does on every broker alike; what the brokers do is asked in tests/conformance."""

import pytest

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


def test_a_handler_can_answer_the_first_retained_message(fabric):
    speaker = fabric.link("speaker")
    answers = []
    speaker.subscribe("answer", answers.append, qos=1)
    up(fabric, speaker)
    told = []
    speaker.publish("question", b"?", qos=1, retain=True, settled=told.append)
    assert fabric.until(lambda: told)
    link = fabric.link("answerer")
    sent = []
    link.subscribe("question", lambda message: sent.append(link.publish("answer", message.payload, qos=1)))
    up(fabric, link)
    assert fabric.until(lambda: answers)
    assert sent == [True]


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
    with pytest.raises(LinkError, match="QoS 0"):
        link.publish("s", b"", settled=lambda _acknowledged: None)


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
    assert speaker.metrics.unsent >= 1
    fabric.restart()


def test_a_link_counts_what_it_has_done(fabric):
    link = fabric.link("busy")
    heard = []
    link.subscribe("t", heard.append, qos=1)
    up(fabric, link)
    for _ in range(3):
        link.publish("t", b"!", qos=1)
    assert fabric.until(lambda: len(heard) == 3 and link.metrics.acknowledged == 3)
    fabric.crash()
    assert fabric.until(lambda: not link.connected)
    fabric.restart()
    assert fabric.until(lambda: link.connected)
    metrics = link.metrics
    assert (metrics.sent, metrics.received, metrics.given_up, metrics.connects) == (3, 3, 0, 2)
    assert metrics.failures.total() >= 1
    assert metrics.attempts >= 2
