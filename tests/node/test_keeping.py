"""Kept frames between a node and a stand-in hub, in virtual time over the simulated broker."""

import logging
import random

import pytest
from tests.node.spool.stand_in_hub import StandInHub
from tests.node.spool.zygote import KEY, NODE, TOPICS, frame_of

from becomingone.broker.kept_receiver import Verdict
from becomingone.broker.kept_store import Kept, MemoryStore
from becomingone.broker.presence import Presence
from becomingone.errors import FrameError
from becomingone.node.keeping import Keeping
from becomingone.node.pipeline import ChannelId
from becomingone.node.trust import Trust
from becomingone.scheduling import MeshClock
from becomingone.sim.broker import SimBroker
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.ack import Ack, Stream, encode_ack
from becomingone.wire.announce import State
from becomingone.wire.frame import decode_frame, encode_frame
from becomingone.wire.seal import seal

X, Y = ChannelId("stride", "leg_x"), ChannelId("stride", "leg_y")


class Cell:
    """A node, a hub and a broker. The node's store outlives it, as a disk does."""

    def __init__(self, key=KEY, most_bytes=1_000_000):
        self.key = key
        self.scheduler = VirtualScheduler()
        self.broker = SimBroker(self.scheduler, random.Random(1))
        self.store = MemoryStore(most_bytes)
        self.hub = None
        self.hubs = 0
        self.node_link = None
        self.said = []
        witness = self.broker.link("witness", None)
        witness.subscribe("#", self.said.append, qos=1)
        witness.start()
        self.run(1.0)

    def run(self, seconds=1.0):
        self.scheduler.run_for(seconds)

    def begin_node(self, boot, *, late_per_s=1000.0, presence=False):
        self.boot = boot
        self.seqs = {X: 0, Y: 0}
        self.node_link = self.broker.link(TOPICS.client_id("node", NODE), None)
        self.presence = Presence(self.node_link, TOPICS.state(NODE), self.scheduler) if presence else None
        if presence:
            self.presence.start()
        self.keeping = Keeping(
            NODE,
            link=self.node_link,
            topics=TOPICS,
            trust=Trust(self.key, boot),
            store=self.store,
            scheduler=self.scheduler,
            clock=MeshClock(self.scheduler),
            boot=boot,
            late_per_s=late_per_s,
            presence=self.presence,
        )
        self.keeping.start()
        self.node_link.start()

    def kill_node(self):
        self.keeping.close()
        self.node_link.close()
        self.run(0.1)

    def begin_hub(self, file=":memory:"):
        self.hubs += 1
        self.hub_link = self.broker.link(TOPICS.client_id("hub"), None)
        self.hub = StandInHub(self.hub_link, TOPICS, NODE, self.key, file, self.scheduler, boot=self.hubs)
        self.hub_link.start()
        self.run(0.5)
        for state in (State.INIT, State.READY):
            self.hub_link.publish(TOPICS.hub_state, state.encode(), qos=1, retain=True)

    def kill_hub(self):
        self.hub.close()
        self.hub_link.publish(TOPICS.hub_state, State.LOST.encode(), qos=1, retain=True)
        self.hub_link.close()
        self.run(0.1)

    def keep(self, count, *identities):
        for _ in range(count):
            for identity in identities or (X,):
                seq = self.seqs[identity]
                self.seqs[identity] += 1
                self.keeping.keep(identity, frame_of(identity, self.boot, seq))

    def phases(self):
        return [message for message in self.said if "/phase/" in message.topic]


@pytest.fixture
def cell():
    return Cell()


@pytest.mark.parametrize("key", [KEY, None], ids=["sealed", "open"])
def test_what_is_kept_reaches_the_hub_live_and_leaves_once_it_is_committed(key):
    cell = Cell(key)
    cell.begin_hub()
    cell.begin_node(1)
    cell.run()
    cell.hub.committing = False
    cell.keep(5, X, Y)
    cell.run(0.5)
    assert cell.keeping.figures.count == len(cell.hub.waiting) == 10
    cell.hub.committing = True
    cell.run(0.5)
    figures = cell.keeping.figures
    assert (figures.count, figures.bytes, figures.lost, figures.oldest_boot, figures.fault) == (0, 0, 0, None, "")
    assert cell.hub.rows() == {(f"stride/{name}", 1, seq) for name in ("leg_x", "leg_y") for seq in range(5)}
    assert cell.hub.flags[True] == 0, "nothing was late"
    assert not cell.keeping.refused


def test_a_frame_is_stored_before_it_is_published(cell):
    cell.begin_node(1)
    cell.run()
    stored = []
    append = cell.store.append
    cell.store.append = lambda entry: stored.append(len(cell.phases())) or append(entry)
    published = []
    publish = cell.node_link.publish
    cell.node_link.publish = lambda *a, **k: published.append(len(stored)) or publish(*a, **k)
    cell.keep(1)
    assert stored
    assert published == [1]


def test_after_an_outage_all_of_it_comes_flagged_in_order_and_not_too_fast(cell):
    cell.begin_hub()
    cell.begin_node(1, late_per_s=20.0)
    cell.run()
    cell.broker.cut(cell.node_link.client_id)
    cell.keep(60)
    cell.node_link.close()  # for good
    cell.run(10.0)
    cell.kill_node()
    cell.begin_node(2, late_per_s=20.0)
    cell.run(1.5)
    cell.keep(3)
    cell.run(0.5)
    assert 20 <= cell.hub.count() - 3 <= 45
    live = [frame for frame in map(decode_frame, (m.payload for m in cell.phases())) if frame.boot == 2]
    assert [frame.seq for frame in live] == [0, 1, 2], "what is live does not wait for what is late"
    cell.run(3.0)
    assert cell.hub.rows() == {("stride/leg_x", 1, seq) for seq in range(60)} | {
        ("stride/leg_x", 2, seq) for seq in range(3)
    }
    assert cell.hub.flags == {True: 60, False: 3}
    assert not cell.hub.refused, "a record of an earlier life is sealed by the one that sends it"
    assert len(cell.store) == 0


def test_the_hubs_return_is_noticed_while_the_broker_stays(cell):
    cell.begin_hub()
    cell.begin_node(1)
    cell.run()
    cell.kill_hub()
    cell.keep(10)
    cell.run(100.0)
    assert len(cell.store) == 10
    cell.begin_hub()
    cell.run(1.0)
    assert len(cell.store) == 0
    assert cell.hub.count() == 10


def test_a_hub_that_is_there_already_makes_nothing_go_twice(cell):
    cell.begin_hub()
    cell.begin_node(1)
    cell.run()
    cell.keep(5)
    cell.run()
    assert cell.keeping.figures.resent == 0
    assert cell.hub.verdicts == {Verdict.NEW: 5}


def test_a_hub_that_cries_ready_over_and_over_does_not_make_it_shout(cell):
    cell.begin_node(1)
    cell.run()
    cell.keep(5)
    cell.run(3.0)
    before = len(cell.phases())
    for _ in range(50):
        for state in (State.LOST, State.READY):
            say(cell, TOPICS.hub_state, state.encode())
        cell.run(0.01)
    assert len(cell.phases()) - before <= 2 * 5


def say(cell, topic, payload):
    link = getattr(cell, "stranger", None)
    if link is None:
        link = cell.stranger = cell.broker.link("stranger", None)
        link.start()
        cell.run(0.1)
    assert link.publish(topic, payload, qos=1)


def test_what_had_to_make_room_is_announced_and_the_hub_goes_on():
    cell = Cell(most_bytes=2_000)
    cell.begin_node(1)
    cell.keep(100)
    figures = cell.keeping.figures
    assert figures.lost == 100 - figures.count > 50
    cell.begin_hub()
    cell.run(3.0)
    first = 100 - figures.count
    assert cell.hub.rows() == {("stride/leg_x", 1, seq) for seq in range(first, 100)}
    assert cell.hub.receiver.lost == first
    assert dict(cell.hub.announced[0].oldest) == {Stream(1, "stride", "leg_x"): first}
    assert len(cell.store) == 0


def test_a_channel_that_is_kept_only_from_now_on_begins_where_it_is(cell):
    cell.begin_hub()
    cell.begin_node(1)
    cell.run()
    cell.seqs[X] = 500
    cell.keep(3)
    cell.run(0.5)
    assert cell.hub.rows() == {("stride/leg_x", 1, seq) for seq in (500, 501, 502)}
    assert len(cell.store) == 0


def test_a_hole_in_the_middle_holds_up_nobody(cell):
    cell.begin_hub()
    cell.begin_node(1)
    cell.run()
    cell.keep(3)
    cell.seqs[X] = 5
    cell.keep(3)
    cell.run(1.5)
    assert cell.hub.rows() == {("stride/leg_x", 1, seq) for seq in (0, 1, 2, 5, 6, 7)}
    assert cell.hub.receiver.lost == 2
    assert cell.keeping.figures.lost == 0, "they never were"


def test_more_streams_than_fit_into_one_announcement(cell):
    for boot in range(1, 301):
        frame = frame_of(X, boot, 7)
        cell.store.append(Kept(("stride/leg_x", boot), 7, TOPICS.phase(NODE, "stride", "leg_x"), encode_frame(frame)))
    cell.begin_hub()
    cell.begin_node(301)
    cell.run(2.0)
    assert [len(kept.oldest) for kept in cell.hub.announced][:3] == [128, 128, 44]
    assert cell.hub.count() == 300
    assert len(cell.store) == 0


def test_what_no_hub_would_take_is_given_up_and_counted(cell, caplog):
    topic = TOPICS.phase(NODE, "stride", "leg_x")
    for seq in range(3):
        payload = b"\xff" if seq == 1 else encode_frame(frame_of(X, 1, seq))
        cell.store.append(Kept(("stride/leg_x", 1), seq, topic, payload))
    cell.begin_hub()
    cell.begin_node(2)
    cell.run(3.0)
    assert cell.hub.rows() == {("stride/leg_x", 1, 0), ("stride/leg_x", 1, 2)}
    assert cell.keeping.figures.lost == 1
    assert "frame 1 of boot 1 is given up" in caplog.text


def test_a_frame_that_breaks_the_protocol_is_not_stored(cell):
    cell.begin_node(1)
    with pytest.raises(FrameError, match="range"):
        cell.keeping.keep(X, frame_of(X, 1, 0)._replace(coherence=2.0))
    assert len(cell.store) == 0


def test_nothing_is_kept_before_the_start(cell):
    keeping = Keeping(
        NODE,
        link=cell.broker.link("n", None),
        topics=TOPICS,
        trust=Trust(None, 1),
        store=cell.store,
        scheduler=cell.scheduler,
        clock=MeshClock(cell.scheduler),
        boot=1,
        late_per_s=1.0,
    )
    with pytest.raises(RuntimeError, match="once keeping has been started"):
        keeping.keep(X, frame_of(X, 1, 0))


def test_nothing_goes_out_before_the_node_is_known(cell):
    cell.begin_node(1, presence=True)
    cell.keep(3)
    cell.run(2.0)
    topics = [message.topic for message in cell.said if message.topic.startswith(f"{TOPICS.base}/node")]
    assert topics[0] == TOPICS.state(NODE)
    assert topics.count(TOPICS.phase(NODE, "stride", "leg_x")) == 3


# -- acknowledgements that are none --------------------------------------------------------------------------------


def ack(boot, seq, upto=99, life=1):
    return encode_ack(Ack(boot=boot, seq=seq, committed={Stream(life, "stride", "leg_x"): upto}))


def test_acknowledgements_are_opened_checked_and_taken_once(cell, caplog):
    caplog.set_level(logging.INFO)
    cell.begin_node(5)
    cell.run()
    cell.keep(10)
    topic = TOPICS.ack(NODE)
    wrong = {
        "unsealed": ack(1, 0, 9, 5),
        "forged": seal(bytes(32), topic, ack(1, 1, 9, 5), 5),
        "wrong_epoch": seal(KEY, topic, ack(1, 1, 9, 5), 4),
    }
    for payload in wrong.values():
        say(cell, topic, payload)
        cell.run(0.1)
    assert dict(cell.keeping.refused) == dict.fromkeys(wrong, 1)
    say(cell, topic, seal(KEY, topic, b"\xa0", 5))
    say(cell, TOPICS.hub_state, b"nonsense")
    cell.run(0.1)
    assert cell.keeping.refused["missing"] == cell.keeping.refused["state"] == 1
    assert len(cell.store) == 10
    good = seal(KEY, topic, ack(3, 7, 4, 5), 5)
    say(cell, topic, good)
    cell.run(0.1)
    assert len(cell.store) == 5
    for old in (good, seal(KEY, topic, ack(3, 6, 9, 5), 5), seal(KEY, topic, ack(2, 99, 9, 5), 5)):
        say(cell, topic, old)
        cell.run(0.1)
    assert cell.keeping.refused["replayed"] == 3
    assert len(cell.store) == 5
    say(cell, topic, seal(KEY, topic, ack(4, 0, 9, 5), 5))
    cell.run(0.1)
    assert len(cell.store) == 0
    assert "ack: a message refused as forged" in caplog.text


def test_an_acknowledgement_of_frames_that_were_never_made_is_not_believed(cell):
    cell.begin_node(1)
    cell.run()
    cell.keep(3)
    topic = TOPICS.ack(NODE)
    say(cell, topic, seal(KEY, topic, ack(1, 0, 50, 1), 1))
    cell.run(0.1)
    assert len(cell.store) == 3


def test_after_the_end_it_is_silent(cell):
    cell.begin_node(1)
    cell.run()
    cell.keep(3)
    cell.run()
    cell.keeping.close()
    cell.said.clear()
    cell.run(200.0)
    cell.keeping.retry()
    assert cell.phases() == []
    assert cell.store.on_mended is None
