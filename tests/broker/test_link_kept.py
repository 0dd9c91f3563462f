"""Messages kept until the hub has committed them: every one arrives, once, in order, whatever is lost on the way."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from becomingone.broker.kept import KeptSender
from becomingone.broker.kept_receiver import KeptReceiver, Verdict
from becomingone.broker.kept_store import Kept, MemoryStore
from becomingone.errors import LinkError
from becomingone.sim.clock import VirtualScheduler

S = 1_000_000_000


class FakeLink:
    """A link that records what it is given, and takes `room` messages before somebody makes room again."""

    def __init__(self):
        self.connected = True
        self.room = 10_000
        self.sent = []
        self.settled = []
        self.acknowledging = True
        self._up = []

    def on_up(self, callback):
        self._up.append(callback)

    def publish(self, topic, payload, *, qos=0, settled=None, content_type=None):
        assert (qos, content_type) == (1, "application/cbor")
        if not self.connected or self.room <= 0:
            return False
        self.room -= 1
        self.sent.append((topic, payload))
        self.settled.append(settled)
        if self.acknowledging:
            settled(True)
        return True

    def come_up(self):
        self.connected = True
        for callback in self._up:
            callback()

    def take(self):
        taken, self.sent = self.sent, []
        return [payload for _, payload in taken]


@pytest.fixture
def scheduler():
    return VirtualScheduler()


@pytest.fixture
def link():
    return FakeLink()


def sender_of(link, scheduler, *, most_bytes=1_000_000, store=None, **options):
    store = MemoryStore(most_bytes) if store is None else store
    return KeptSender(link, store, scheduler, content_type="application/cbor", **options)


def keep(sender, *seqs, stream="a", boot=1):
    for seq in seqs:
        sender.keep(stream, boot, seq, f"t/{stream}", b"%s%d" % (stream.encode(), seq))


# -- the sender ----------------------------------------------------------------------------------------------------


def test_it_sends_within_its_window_and_goes_on_with_each_acknowledgement(link, scheduler):
    sender = sender_of(link, scheduler, window=3)
    keep(sender, *range(6))
    assert link.take() == [b"a0", b"a1", b"a2"]
    sender.acknowledged("a", 1, 1)
    assert link.take() == [b"a3", b"a4"]
    sender.acknowledged("a", 1, 0)  # an old one, late
    assert link.take() == []
    sender.acknowledged("a", 1, 5)
    assert sender.oldest() == {}
    assert len(sender._store) == 0


def test_every_stream_has_a_window_of_its_own(link, scheduler):
    sender = sender_of(link, scheduler, window=1)
    keep(sender, 0, 1)
    keep(sender, 0, 1, stream="b")
    keep(sender, 0, boot=2)
    assert link.take() == [b"a0", b"b0", b"a0"]
    sender.acknowledged("b", 1, 0)
    assert link.take() == [b"b1"]
    assert sender.oldest() == {("a", 1): 0, ("b", 1): 1, ("a", 2): 0}


def test_a_reconnection_sends_again_what_is_not_committed_whatever_the_broker_said(link, scheduler):
    link.acknowledging = False
    sender = sender_of(link, scheduler)
    keep(sender, *range(4))
    for settled in link.settled:
        settled(True)
    sender.acknowledged("a", 1, 1)
    link.take()
    link.connected = False
    keep(sender, 4)
    assert link.take() == []
    link.come_up()
    assert link.take() == [b"a2", b"a3", b"a4"]
    assert sender.resent == 2


def test_what_the_link_still_has_is_not_given_to_it_a_second_time(link, scheduler):
    """During a partition it would fill the link with copies, and everything else would wait behind them."""
    link.acknowledging = False
    sender = sender_of(link, scheduler, timeout_s=2.0)
    keep(sender, 0, 1)
    assert link.take() == [b"a0", b"a1"]
    scheduler.run_for(50.0)
    assert link.take() == []
    for settled in link.settled:
        settled(True)  # the partition is over
    scheduler.run_for(1.9)
    assert link.take() == []
    scheduler.run_for(0.2)
    assert link.take() == [b"a0", b"a1"]  # and the hub has not answered
    assert sender.resent == 2


def test_a_link_that_never_says_what_became_of_a_message_is_given_it_again_all_the_same(link, scheduler):
    link.acknowledging = False
    sender = sender_of(link, scheduler, timeout_s=2.0)
    keep(sender, 0)
    link.take()
    scheduler.run_for(60.1)
    assert link.take() == [b"a0"]


def test_without_an_answer_it_sends_again_ever_more_seldom(link, scheduler):
    sender = sender_of(link, scheduler, timeout_s=2.0)
    keep(sender, 0, 1)
    link.take()
    times = []
    for second in range(1, 200):
        scheduler.run_for(1.0)
        if link.take():
            times.append(second)
    assert times == [2, 6, 14, 30, 62, 122, 182]  # 2, 4, 8, 16, 32, 60, 60 s
    sender.acknowledged("a", 1, 0)
    assert link.take() == []
    scheduler.run_for(2.0)
    assert link.take() == [b"a1"]


def test_progress_puts_the_time_out_off(link, scheduler):
    sender = sender_of(link, scheduler, timeout_s=2.0)
    keep(sender, *range(10))
    link.take()
    for seq in range(9):
        scheduler.run_for(1.5)
        sender.acknowledged("a", 1, seq)
    assert link.take() == []


def test_a_full_link_is_not_hammered_and_goes_on_when_it_has_room(link, scheduler):
    link.acknowledging = False
    link.room = 2
    sender = sender_of(link, scheduler)
    keep(sender, *range(4))
    assert link.take() == [b"a0", b"a1"]
    link.room = 2
    link.settled[0](True)
    assert link.take() == [b"a2", b"a3"]


def test_what_is_full_drops_the_oldest_counts_it_and_says_what_is_left(link, scheduler):
    link.connected = False
    sender = sender_of(link, scheduler, most_bytes=3 * len("t/a" + "a0"))
    keep(sender, *range(5))
    assert sender.dropped == 2
    assert sender.oldest() == {("a", 1): 2}
    link.come_up()
    assert link.take() == [b"a2", b"a3", b"a4"]


def test_an_acknowledgement_of_what_was_never_sent_is_refused(link, scheduler):
    sender = sender_of(link, scheduler)
    keep(sender, 0, 1)
    sender.acknowledged("a", 1, 2)
    sender.acknowledged("a", 2, 0)
    sender.acknowledged("b", 1, 0)
    assert sender.refused == 1
    assert sender.oldest() == {("a", 1): 0}


def test_numbers_that_do_not_grow_are_a_mistake(link, scheduler):
    sender = sender_of(link, scheduler)
    keep(sender, 3)
    with pytest.raises(LinkError, match="numbers of a grow; 3 comes after 3"):
        keep(sender, 3)


def test_what_an_earlier_life_has_left_is_sent_first_and_is_late(link, scheduler):
    store = MemoryStore(1_000)
    for seq in (7, 8):
        store.append(Kept(("a", 1), seq, "t", b"old%d" % seq))
    sender = sender_of(link, scheduler, store=store, render=lambda entry, late: entry.payload + b"!" * late)
    keep(sender, 0, boot=2)
    assert link.take() == [b"old7!", b"old8!", b"a0"]


def test_what_is_late_is_marked_and_paced_and_does_not_hold_up_the_rest(link, scheduler):
    sender = sender_of(link, scheduler, late_per_s=10.0, render=lambda entry, late: entry.payload + b"!" * late)
    link.connected = False
    keep(sender, *range(5))
    scheduler.run_for(5.0)
    link.come_up()
    keep(sender, 0, stream="b")
    assert link.take() == [b"a0!", b"b0"]
    scheduler.run_for(0.35)
    assert link.take() == [b"a1!", b"a2!", b"a3!"]
    keep(sender, 5)
    scheduler.run_for(0.06)
    assert link.take() == [b"a4!", b"a5"]


def test_a_hole_is_told_before_anything_after_it_is_sent(link, scheduler):
    told = []
    sender = sender_of(link, scheduler, on_hole=lambda: told.append((dict(sender.oldest()), len(link.sent))))
    keep(sender, 0, 1, 4, 5)
    assert link.take() == [b"a0", b"a1"], "what comes after the hole waits"
    sender.acknowledged("a", 1, 1)
    assert told == [({("a", 1): 4}, 0)]
    assert link.take() == [b"a4", b"a5"]
    sender.acknowledged("a", 1, 5)
    assert sender.oldest() == {}
    assert sender.dropped == 0


def test_what_lost_all_that_it_had_still_says_where_it_goes_on(link, scheduler):
    link.connected = False
    sender = sender_of(link, scheduler, most_bytes=2 * len("t/a" + "a0"))
    keep(sender, 0, 1)
    keep(sender, 0, 1, stream="b")
    assert sender.oldest() == {("a", 1): 2, ("b", 1): 0}
    sender.acknowledged("a", 1, 1)
    assert sender.oldest() == {("b", 1): 0}


def test_what_cannot_be_rendered_is_given_up_once_all_before_it_is_committed(link, scheduler):
    sender = sender_of(link, scheduler, render=lambda entry, late: None if entry.seq == 2 else entry.payload)
    keep(sender, *range(4))
    assert link.take() == [b"a0", b"a1"]
    sender.acknowledged("a", 1, 1)
    assert link.take() == [b"a3"]
    assert (sender.dropped, sender.oldest()) == (1, {("a", 1): 3})


def test_of_an_earlier_life_the_hub_may_have_more_than_is_left(link, scheduler):
    store = MemoryStore(1_000)
    for seq in (7, 8):
        store.append(Kept(("a", 1), seq, "t", b"old%d" % seq))
    sender = sender_of(link, scheduler, store=store)
    sender.acknowledged("a", 1, 20)
    assert len(sender) == sender.refused == 0


def test_a_store_that_has_come_back_is_sent_after_a_retry(link, scheduler):
    store = MemoryStore(1_000)
    sender = sender_of(link, scheduler, store=store)
    store.append(Kept(("a", 1), 7, "t", b"from the disk"))
    sender.retry()
    assert link.take() == [b"from the disk"]


def test_a_closed_sender_is_silent(link, scheduler):
    sender = sender_of(link, scheduler)
    keep(sender, 0)
    link.take()
    sender.close()
    link.come_up()
    scheduler.run_for(100.0)
    assert link.take() == []


# -- together ------------------------------------------------------------------------------------------------------


class Road:
    """A way from a sender to a receiver and back on which messages are lost and doubled."""

    def __init__(self, rng, loss, doubling):
        self.rng, self.loss, self.doubling = rng, loss, doubling
        self.receiver = KeptReceiver()
        self.taken = {"a": [], "b": []}

    def forth(self, payloads):
        for payload in payloads:
            for _ in range(1 + (self.rng.random() < self.doubling)):
                stream, seq = payload[:1].decode(), int(payload[1:])
                if self.rng.random() >= self.loss and self.receiver.take(stream, 1, seq) is Verdict.NEW:
                    self.taken[stream].append(seq)
                    self.receiver.committed(stream, 1, seq)

    def back(self, sender):
        for acknowledgement in self.receiver.acknowledgements():
            if self.rng.random() >= self.loss:
                sender.acknowledged(*acknowledgement)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.floats(0.0, 0.4), st.floats(0.0, 0.3))
def test_whatever_is_lost_or_doubled_on_the_way_all_arrive_once_in_order(rng, loss, doubling):
    scheduler = VirtualScheduler()
    link = FakeLink()
    sender = sender_of(link, scheduler, window=5, timeout_s=0.5)
    road = Road(rng, loss, doubling)
    for seq in range(20):
        keep(sender, seq)
        keep(sender, seq, stream="b")
    for _ in range(5_000):
        road.forth(link.take())
        road.back(sender)
        if not sender.oldest():
            break
        if rng.random() < 0.05:
            link.come_up()
        scheduler.run_for(0.1)
    assert road.taken == {"a": list(range(20)), "b": list(range(20))}
    assert not sender.oldest()


def test_a_receiver_of_years_forgets_boots_that_are_over():
    """Otherwise it would be full one day and refuse every new life of every sender, for ever."""
    receiver = KeptReceiver(most_streams=8)
    for boot in range(100):
        for stream in ("a", "b"):
            for seq in range(3):
                assert receiver.take(stream, boot, seq) is Verdict.NEW
                receiver.committed(stream, boot, seq)
    assert len(receiver.marks()) <= 8
    assert receiver.take("a", 99, 2) is Verdict.DUPLICATE
    assert receiver.take("a", 98, 2) is Verdict.DUPLICATE
    assert receiver.take("a", 5, 7) is Verdict.EARLY  # its sender then says where it begins
    receiver.oldest_kept("a", 5, 7)
    assert receiver.take("a", 5, 7) is Verdict.NEW
    assert receiver.refused == 0


def test_what_is_not_committed_and_what_goes_on_is_never_forgotten():
    receiver = KeptReceiver(most_streams=4)
    assert receiver.take("a", 1, 0) is Verdict.NEW
    for stream in ("a", "b", "c"):
        assert receiver.take(stream, 2, 0) is Verdict.NEW
    assert receiver.take("d", 1, 0) is Verdict.REFUSED
    receiver.committed("a", 1, 0)
    verdicts = [receiver.take("d", 1, 0) for _ in range(2_000)]
    assert verdicts[0] is Verdict.REFUSED
    assert Verdict.NEW in verdicts
    assert receiver.take("b", 2, 0) is Verdict.DUPLICATE
