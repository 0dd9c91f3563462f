"""What the simulated broker remembers of clients that are away, and over its own death."""

import pytest

from becomingone.broker.reasons import Reason
from becomingone.sim.session import Limits

from .rig import Rig

# Sessions


def test_a_kept_session_keeps_what_comes_at_qos_1():
    rig = Rig()
    sleeper = rig.raw("sleeper", session_s=100)
    sleeper.subscribe("t/#")
    rig.run()
    sleeper.connection.cut()
    speaker = rig.link("speaker").link
    for number in range(5):
        speaker.publish("t/1", b"%d" % number, qos=1)
        speaker.publish("t/0", b"%d" % number, qos=0)
    rig.run()
    again = rig.raw("sleeper", session_s=100)
    assert again.session_present
    assert [(p.topic, p.payload, p.dup) for p in again.publications] == [("t/1", b"%d" % n, False) for n in range(5)]
    assert rig.broker.counts == {"dropped: away": 5}


def test_what_was_not_acknowledged_comes_again_first_and_is_marked():
    rig = Rig(limits=Limits(max_inflight=2))
    sleeper = rig.raw("sleeper", session_s=100)
    sleeper.subscribe("t")
    speaker = rig.link("speaker").link
    rig.run()
    for number in range(4):
        speaker.publish("t", b"%d" % number, qos=1)
    rig.run()
    sleeper.acknowledge(sleeper.publications[0])
    rig.run()
    sleeper.connection.cut()
    speaker.publish("t", b"4", qos=1)
    rig.run()
    again = rig.raw("sleeper", session_s=100)
    assert [(p.payload, p.dup) for p in again.publications] == [(b"1", True), (b"2", True)]
    assert [p.number for p in again.publications] == [p.number for p in sleeper.publications[1:]]
    for packet in again.publications:
        again.acknowledge(packet)
    rig.run()
    assert [(p.payload, p.dup) for p in again.publications[2:]] == [(b"3", False), (b"4", False)]


@pytest.mark.parametrize(("away_s", "kept"), [(9.0, True), (11.0, False)])
def test_a_session_ends_when_its_time_has_come(away_s, kept):
    rig = Rig()
    sleeper = rig.raw("sleeper", session_s=10)
    sleeper.subscribe("t")
    rig.run()
    sleeper.connection.cut()
    rig.run(away_s)
    rig.link("speaker").link.publish("t", b"!", qos=1)
    rig.run()
    again = rig.raw("sleeper", session_s=10)
    assert again.session_present == kept
    assert [p.payload for p in again.publications] == [b"!"] * kept


@pytest.mark.parametrize("present_s", [1.0, 8.0])
def test_a_session_does_not_end_because_of_an_earlier_absence(present_s):
    rig = Rig()
    for _ in range(3):
        sleeper = rig.raw("sleeper", session_s=10)
        rig.run(present_s)
        sleeper.connection.cut()
        rig.run(8.0)
    again = rig.raw("sleeper", session_s=10)
    assert again.session_present


def test_a_clean_connection_ends_a_kept_session():
    rig = Rig()
    sleeper = rig.raw("sleeper", session_s=100)
    sleeper.subscribe("t")
    rig.run()
    clean = rig.raw("sleeper")
    rig.link("speaker").link.publish("t", b"!", qos=1)
    rig.run()
    assert not clean.session_present
    assert clean.publications == []
    assert not rig.raw("sleeper", session_s=100).session_present


def test_a_queue_that_is_full_drops_what_comes_last_and_counts_it():
    rig = Rig(limits=Limits(max_queued=10))
    sleeper = rig.raw("sleeper", session_s=100)
    sleeper.subscribe("t")
    rig.run()
    sleeper.connection.cut()
    told = []
    speaker = rig.link("speaker").link
    for number in range(15):
        speaker.publish("t", b"%d" % number, qos=1, settled=told.append)
    rig.run()
    assert told == [True] * 15
    assert rig.broker.counts == {"dropped: queue full": 5}
    assert [int(p.payload) for p in rig.raw("sleeper", session_s=100).publications] == list(range(10))


def test_a_connection_that_stands_still_costs_messages_of_qos_0_alone():
    rig = Rig(limits=Limits(max_queued=50, max_inflight=100))
    heard = rig.link("listener", "t")
    speaker = rig.link("speaker").link
    rig.broker.network.path("listener").blocks += 1
    for number in range(40):
        speaker.publish("t", b"%d" % number, qos=1)
    for _ in range(30):
        speaker.publish("t", b"flood", qos=0)
        rig.run(0.01)
    assert rig.broker.counts == {"dropped: queue full": 20}
    rig.broker.network.path("listener").blocks -= 1
    rig.run(5.0)
    assert heard.payloads == [b"%d" % number for number in range(40)] + [b"flood"] * 10


@pytest.mark.parametrize(("version", "comes"), [(5, False), (4, True)])
def test_a_message_that_has_waited_too_long_is_dropped(version, comes):
    rig = Rig(limits=Limits(version=version))
    sleeper = rig.raw("sleeper", session_s=100)
    sleeper.subscribe("t")
    rig.run()
    sleeper.connection.cut()
    speaker = rig.link("speaker").link
    speaker.publish("t", b"stale", qos=1, expiry_s=4.2)  # whole seconds, rounded up
    speaker.publish("t", b"fresh", qos=1, expiry_s=60)
    speaker.publish("r", b"retained", qos=1, retain=True, expiry_s=4.2)
    rig.run(4.7)
    assert "r" in rig.broker.retained
    rig.run(0.5)
    assert ("r" in rig.broker.retained) == comes
    came = [p.payload for p in rig.raw("sleeper", session_s=100).publications]
    assert came == ([b"stale", b"fresh"] if comes else [b"fresh"])
    assert rig.broker.counts == ({} if comes else {"dropped: expired": 1})


# Crashes


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("silent", [False, True])
def test_what_a_crash_leaves(persistent, silent):
    rig = Rig(paths=[{"clients": ["sleeper"], "down": {"reorder": 1.0, "reorder_ms": 60_000}}, {}])
    kept = rig.link("sleeper", "t", session_s=1000)
    clean = rig.link("clean", "t")
    speaker = rig.link("speaker").link
    speaker.publish("r", b"retained", qos=1, retain=True)
    speaker.publish("t", b"held back", qos=1)
    rig.run()
    assert kept.payloads == []
    assert clean.payloads == [b"held back"]
    rig.broker.crash(persistent=persistent, silent=silent)
    rig.run(5.0)
    assert speaker.connected == silent  # nobody has told it
    rig.broker.restart()
    rig.run(30.0)
    assert all(link.connected for link in (kept.link, clean.link, speaker))
    assert rig.broker.retained == ({"r": b"retained"} if persistent else {})
    # What was held back has been written down with the rest, and waits no longer.
    assert kept.payloads == ([b"held back"] if persistent else [])
    assert clean.payloads == [b"held back"]


def test_links_find_a_dead_machine_out_by_their_keepalive():
    rig = Rig()
    heard = rig.link("quiet", keepalive_s=4)
    rig.broker.crash(silent=True)
    begun = rig.now
    while heard.link.connected:
        rig.run(0.1)
    assert 4.0 <= rig.now - begun <= 8.3  # a keepalive until the ping, another for its answer
    assert heard.link.metrics.failures == {Reason.SILENT: 1}
