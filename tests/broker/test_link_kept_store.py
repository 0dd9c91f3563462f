"""Where kept messages wait, and the half of the hub that takes them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.broker.kept_receiver import KeptReceiver, Verdict
from becomingone.broker.kept_store import Gone, Kept, MemoryStore

# -- the store -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 40)), max_size=300))
def test_the_store_holds_what_a_simple_model_holds(steps):
    store = MemoryStore(60)
    model: list[Kept] = []
    following = dict.fromkeys("abc", 0)
    for stream, forgets, number in steps:
        if forgets:
            store.forget((stream, 1), number)
            model = [entry for entry in model if entry.stream[0] != stream or entry.seq > number]
        else:
            entry = Kept((stream, 1), following[stream], "", bytes(5))
            following[stream] += 1
            model.append(entry)
            gone = model[: max(0, len(model) - 12)]
            del model[: len(gone)]
            highest = {one.stream: one.seq for one in gone}
            counts = Counter(one.stream for one in gone)
            assert store.append(entry) == [Gone(name, seq, counts[name]) for name, seq in highest.items()]
        assert store.oldest() == (model[0] if model else None)
        assert store.taken == 5 * len(model)
        assert len(store) == len(model)
        assert sorted(store.streams()) == sorted({entry.stream for entry in model})
        for name in "abc":
            left = [entry for entry in model if entry.stream[0] == name and entry.seq > number]
            assert store.next((name, 1), number) == (left[0] if left else None)


def test_the_store_forgets_in_time_that_does_not_grow():
    store = MemoryStore(1 << 30)
    for seq in range(5_000):
        store.append(Kept(("a", 1), seq, "t", b"x"))
    for seq in range(4_900):
        store.forget(("a", 1), seq)
        assert store.next(("a", 1), -1).seq == seq + 1
    assert len(store._order) == len(store) == 100
    assert len(store._rows["a", 1].entries) < 1_000


# -- the receiver --------------------------------------------------------------------------------------------------


def test_it_takes_each_number_once_and_in_order():
    receiver = KeptReceiver()
    verdicts = [receiver.take("a", 1, seq) for seq in (0, 1, 1, 3, 0, 2, 3)]
    new, again, early = Verdict.NEW, Verdict.DUPLICATE, Verdict.EARLY
    assert verdicts == [new, new, again, early, again, new, new]
    assert (receiver.duplicates, receiver.early) == (2, 1)


def test_it_acknowledges_what_is_committed_and_again_what_the_sender_does_not_know():
    receiver = KeptReceiver()
    for seq in range(3):
        receiver.take("a", 1, seq)
    assert receiver.acknowledgements() == []
    receiver.committed("a", 1, 1)
    assert receiver.acknowledgements() == [("a", 1, 1)]
    assert receiver.acknowledgements() == []
    receiver.take("a", 1, 0)
    assert receiver.acknowledgements() == [("a", 1, 1)]
    with pytest.raises(ValueError, match="a, boot 1: 3 cannot be committed"):
        receiver.committed("a", 1, 3)


def test_after_a_restart_it_goes_on_where_the_memory_is():
    receiver = KeptReceiver({("a", 1): 5})
    assert receiver.take("a", 1, 5) is Verdict.DUPLICATE
    assert receiver.take("a", 1, 6) is Verdict.NEW
    assert receiver.marks() == {("a", 1): 5}


def test_it_does_not_wait_for_what_its_sender_no_longer_has():
    receiver = KeptReceiver({("a", 1): 2})
    assert receiver.take("a", 1, 10) is Verdict.EARLY
    assert receiver.oldest_kept("a", 1, 10) == 7
    assert receiver.acknowledgements() == [("a", 1, 9)]
    assert receiver.take("a", 1, 10) is Verdict.NEW
    assert receiver.oldest_kept("a", 1, 4) == 0
    assert receiver.lost == 7


def test_it_follows_so_many_streams_and_no_more():
    receiver = KeptReceiver(most_streams=2)
    assert [receiver.take(stream, 1, 0) for stream in "abc"] == [Verdict.NEW, Verdict.NEW, Verdict.REFUSED]
    assert receiver.oldest_kept("c", 1, 5) == 0
    receiver.forget("a", 1)
    assert receiver.take("c", 1, 0) is Verdict.NEW


def test_what_could_not_be_committed_is_received_again():
    receiver = KeptReceiver()
    for seq in range(4):
        receiver.take("a", 1, seq)
    receiver.committed("a", 1, 1)
    receiver.rollback()
    assert [receiver.take("a", 1, seq) for seq in (1, 3, 2, 3)] == [
        Verdict.DUPLICATE,
        Verdict.EARLY,
        Verdict.NEW,
        Verdict.NEW,
    ]
