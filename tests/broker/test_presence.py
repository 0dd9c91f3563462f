"""What a member says of itself on the broker."""

import pytest

from becomingone.broker.link import Will
from becomingone.broker.presence import GOODBYE_NS, Presence
from becomingone.wire.announce import State

from .fabrics import SimFabric

TOPIC = "cell/node/n/state"


class Member:
    def __init__(self, fabric: SimFabric, client_id: str = "n") -> None:
        self.link = fabric.link(client_id, Will(TOPIC, b"lost"))
        self.presence = Presence(self.link, TOPIC, fabric.scheduler)
        self.presence.start()
        self.left: list[int] = []
        self.link.start()

    def leave(self, fabric: SimFabric) -> None:
        self.presence.leave(lambda: self.left.append(fabric.scheduler.monotonic_ns()))


@pytest.fixture
def fabric():
    return SimFabric()


def said(fabric: SimFabric, client_id: str = "n") -> list[bytes]:
    return [entry.payload for entry in fabric.broker.trace if entry.client_id == client_id]


def test_it_says_how_it_is_on_every_connection(fabric):
    member = Member(fabric)
    assert fabric.until(lambda: fabric.broker.retained.get(TOPIC) == b"init")
    member.presence.become(State.READY)
    assert fabric.until(lambda: fabric.broker.retained.get(TOPIC) == b"ready")
    fabric.broker.cut("n")
    assert fabric.broker.retained[TOPIC] == b"lost"
    assert fabric.until(lambda: fabric.broker.retained[TOPIC] == b"ready")


def test_it_is_confirmed_when_the_broker_has_sent_it_back(fabric):
    member = Member(fabric)
    times: list[int] = []
    member.presence.on_confirmed(lambda: times.append(fabric.scheduler.monotonic_ns()))
    when_up: list[bool] = []
    member.link.on_up(lambda: when_up.append(member.presence.confirmed))
    assert fabric.until(lambda: member.link.connected)
    assert when_up == [False]
    assert fabric.until(lambda: member.presence.confirmed)
    member.presence.become(State.READY)
    fabric.scheduler.run_for(1.0)
    assert len(times) == 1  # once a connection, whatever it says later
    fabric.broker.crash()
    assert fabric.until(lambda: not member.link.connected)
    assert not member.presence.confirmed
    fabric.broker.restart()
    assert fabric.until(lambda: member.presence.confirmed)
    assert len(times) == 2


def test_it_corrects_what_others_say(fabric):
    member = Member(fabric)
    member.presence.become(State.READY)
    other = fabric.link("other")
    other.start()
    assert fabric.until(lambda: other.connected and fabric.broker.retained.get(TOPIC) == b"ready")
    other.publish(TOPIC, b"lost", qos=1, retain=True)
    assert fabric.until(lambda: said(fabric, "other") == [b"lost"])
    assert fabric.until(lambda: fabric.broker.retained[TOPIC] == b"ready", timeout_s=0.1)


def test_two_of_one_topic_do_not_shout_each_other_down(fabric):
    one, two = Member(fabric, "one"), Member(fabric, "two")
    one.presence.become(State.READY)  # and the other one is still starting
    fabric.scheduler.run_for(60.0)
    assert two.presence.state is State.INIT
    assert 60 <= len(said(fabric, "one")) + len(said(fabric, "two")) < 260


def test_its_goodbye_has_come_back_before_the_link_is_closed(fabric):
    member = Member(fabric)
    member.presence.become(State.READY)
    assert fabric.until(lambda: fabric.broker.retained.get(TOPIC) == b"ready")
    begun = fabric.scheduler.monotonic_ns()
    member.leave(fabric)
    assert fabric.until(lambda: member.left)
    assert fabric.broker.retained[TOPIC] == b"disconnected"
    assert member.left[0] - begun < 5_000_000  # a round trip and the goodbye, not the time limit
    fabric.scheduler.run_for(5.0)
    assert said(fabric)[-1] == b"disconnected"
    assert len(member.left) == 1


def test_it_does_not_wait_for_ever_for_its_goodbye(fabric):
    member = Member(fabric)
    assert fabric.until(lambda: fabric.broker.retained.get(TOPIC) == b"init")
    fabric.broker._to = lambda _session, _message: None  # it acknowledges and routes nothing
    begun = fabric.scheduler.monotonic_ns()
    member.leave(fabric)
    assert fabric.until(lambda: member.left)
    assert GOODBYE_NS <= member.left[0] - begun < GOODBYE_NS + 5_000_000


def test_without_a_broker_it_leaves_at_once(fabric):
    fabric.broker.crash()
    member = Member(fabric)
    member.leave(fabric)
    assert fabric.until(lambda: member.left, timeout_s=0.01)


def test_a_state_for_which_the_queue_has_no_room_is_said_later(fabric):
    member = Member(fabric)
    assert fabric.until(lambda: fabric.broker.retained.get(TOPIC) == b"init")
    while member.link.publish("flood", b"", qos=1):
        pass
    member.presence.become(State.READY)
    assert fabric.until(lambda: fabric.broker.retained[TOPIC] == b"ready")
