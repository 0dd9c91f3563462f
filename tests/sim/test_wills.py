"""Wills, and how the simulated broker finds out that a client is dead."""

import pytest

from becomingone.broker.link import Will
from becomingone.broker.reasons import Reason
from becomingone.sim.packets import Code, Disconnect, Ping, Pong
from becomingone.sim.session import Limits

from .rig import Rig

WILL = Will("will", b"lost")


@pytest.mark.parametrize("silent", [False, True])
def test_a_will_follows_a_death(silent):
    rig = Rig()
    heard = rig.link("listener", "will", keepalive_s=10)
    rig.link("mortal", will=WILL, keepalive_s=4)
    begun = rig.now
    rig.broker.kill("mortal", silent=silent)
    rig.run(5.0)
    assert heard.payloads == ([] if silent else [b"lost"])
    rig.run(5.0)
    assert heard.payloads == [b"lost"]
    assert rig.broker.retained == {"will": b"lost"}
    if silent:
        gone = [why for kind, client, why in rig.events if (kind, client) == ("gone", "mortal")]
        assert gone == ["keep alive timeout"]
    assert rig.now > begun


@pytest.mark.parametrize("keepalive_s", [1, 7, 60])
def test_a_silent_client_is_given_up_after_one_and_a_half_keepalives(keepalive_s):
    rig = Rig()
    heard = rig.link("listener", "will")
    client = rig.raw("mortal", will=WILL, keepalive_s=keepalive_s)
    client.send(Ping())
    rig.run(0.01)
    assert Pong() in client.packets
    last = rig.now
    while not heard:
        rig.run(0.01)
    assert rig.now - last == pytest.approx(1.5 * keepalive_s, abs=0.03)
    assert Disconnect(Code.KEEP_ALIVE) in client.packets


def test_a_client_without_keepalive_is_never_given_up():
    rig = Rig()
    rig.raw("mortal", will=WILL, keepalive_s=0)
    rig.run(1e6)
    assert rig.broker.connected("mortal")


def test_links_keep_a_quiet_connection_up():
    rig = Rig()
    heard = rig.link("quiet", "t", keepalive_s=2)
    speaker = rig.link("speaker", keepalive_s=3)
    rig.run(300.0)
    assert heard.link.metrics.connects == speaker.link.metrics.connects == 1
    speaker.link.publish("t", b"!")
    rig.run()
    assert heard.payloads == [b"!"]


@pytest.mark.parametrize("goodbye", ["close", "disconnect"])
def test_there_is_no_will_after_a_goodbye(goodbye):
    rig = Rig()
    heard = rig.link("listener", "will")
    if goodbye == "close":
        rig.link("polite", will=WILL).link.close()
    else:
        client = rig.raw("polite", will=WILL)
        client.send(Disconnect())
        client.connection.close_client()
    rig.run(60.0)
    assert heard.payloads == []
    assert not rig.broker.connected("polite")


def test_a_takeover_brings_the_will_and_ends_the_older_connection():
    rig = Rig()
    heard = rig.link("listener", "will")
    older = rig.raw("twin", will=WILL)
    newer = rig.raw("twin")
    assert heard.payloads == [b"lost"]
    assert Disconnect(Code.TAKEN_OVER) in older.packets
    assert older.broke == [Reason.BROKEN]
    assert newer.broke == []
    older.subscribe("t")
    rig.run()
    assert older.granted == []


def test_a_broker_of_3_1_1_cannot_say_why_it_ends_a_connection():
    rig = Rig(limits=Limits(version=4))
    older = rig.raw("twin")
    rig.raw("twin")
    assert not any(isinstance(packet, Disconnect) for packet in older.packets)
    assert older.broke == [Reason.BROKEN]


def test_there_is_no_will_after_a_crash_of_the_broker():
    rig = Rig()
    rig.link("mortal", will=WILL)
    rig.broker.crash(persistent=True)
    rig.broker.restart()
    rig.run(5.0)
    assert rig.broker.retained == {}
