"""Messages of QoS 1 on their way: order, bounds, and each one's fate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.broker.outbox import CULPRIT_AFTER, IN_FLIGHT, PROBE_AFTER, QUEUED, QUEUED_BYTES, Entry, Outbox


def entry(name: str, size: int = 0) -> Entry:
    return Entry(name, bytes(size), False, None)


def fill(outbox: Outbox, *names: str) -> None:
    for name in names:
        assert outbox.add(entry(name))


def send(outbox: Outbox) -> list[tuple[int, str]]:
    """Send what is due, as a connection would; give packet identifiers and topics."""
    sent = []
    for due in outbox.due():
        number = due.packet_id or outbox.next_id()
        sent.append((number, due.topic))
        outbox.launch(number)
    return sent


def test_it_sends_in_order_within_the_window():
    outbox = Outbox()
    outbox.begin(session_present=False, window=2)
    fill(outbox, "a", "b", "c")
    assert send(outbox) == [(1, "a"), (2, "b")]
    assert (outbox.in_flight, len(outbox)) == (2, 3)
    assert outbox.acknowledge(2).topic == "b"
    assert send(outbox) == [(3, "c")]
    assert outbox.acknowledge(2) is None


def test_the_brokers_receive_maximum_never_widens_the_window():
    outbox = Outbox()
    outbox.begin(session_present=False, window=65_535)
    assert outbox.window == IN_FLIGHT


def test_a_new_session_gets_what_was_unacknowledged_first_under_new_identifiers():
    outbox = Outbox()
    outbox.begin(session_present=False, window=2)
    fill(outbox, "a", "b", "c")
    send(outbox)
    outbox.acknowledge(1)
    send(outbox)
    outbox.interrupted()
    fill(outbox, "d")
    outbox.begin(session_present=False, window=10)
    assert send(outbox) == [(4, "b"), (5, "c"), (6, "d")]


def test_a_session_that_is_still_there_keeps_the_identifiers_free_for_what_had_them():
    outbox = Outbox()
    outbox.begin(session_present=False, window=2)
    fill(outbox, "a", "b", "c")
    send(outbox)
    outbox.interrupted()
    outbox.begin(session_present=True, window=10)
    outbox._last_id = 65_535
    assert send(outbox) == [(1, "a"), (2, "b"), (3, "c")]


def test_identifiers_begin_again_after_the_last_and_skip_those_in_use():
    outbox = Outbox()
    outbox.begin(session_present=False, window=100)
    fill(outbox, "a", "b")
    send(outbox)
    outbox.acknowledge(1)
    outbox._last_id = 65_534
    assert [outbox.next_id() for _ in range(3)] == [65_535, 1, 3]


def test_it_is_bounded_in_messages_and_in_bytes():
    outbox = Outbox()
    fill(outbox, *map(str, range(QUEUED)))
    assert not outbox.add(entry("one too many"))
    outbox.clear()
    assert outbox.add(entry("huge", QUEUED_BYTES + 1))  # one alone always fits
    assert not outbox.add(entry("small"))
    send(outbox)
    assert outbox.acknowledge(1).topic == "huge"
    assert outbox.add(entry("small"))


def test_a_message_that_ends_every_connection_is_found_and_given_up():
    outbox = Outbox()
    fill(outbox, "harmless", "culprit", "innocent")
    given_up = None
    acknowledged = []
    for _ in range(20):
        outbox.begin(session_present=False, window=10)
        while sent := send(outbox):
            if any(topic == "culprit" for _, topic in sent):  # the broker ends it before it answers anything
                break
            acknowledged += [outbox.acknowledge(number).topic for number, _ in sent]
        if not len(outbox):
            break
        given_up = outbox.interrupted()
        if given_up is not None:
            break
    assert given_up.topic == "culprit"
    assert acknowledged == ["harmless"]
    assert len(outbox) == 1


def test_connections_that_break_by_themselves_cost_no_message():
    outbox = Outbox()
    fill(outbox, "a", "b")
    for _ in range(3 * CULPRIT_AFTER):
        outbox.begin(session_present=False, window=10)
        send(outbox)
        assert outbox.acknowledge(outbox._last_id - 1 if outbox.in_flight > 1 else outbox._last_id)
        assert outbox.interrupted() is None
        fill(outbox, "more")


def test_after_fruitless_connections_messages_go_out_singly():
    outbox = Outbox()
    fill(outbox, "a", "b", "c")
    for _ in range(PROBE_AFTER):
        outbox.begin(session_present=False, window=10)
        assert len(send(outbox)) == 3
        outbox.interrupted()
    outbox.begin(session_present=False, window=10)
    ((number, topic),) = send(outbox)
    assert topic == "a"
    outbox.acknowledge(number)
    assert [topic for _, topic in send(outbox)] == ["b", "c"]


@given(st.lists(st.sampled_from(["add", "send", "acknowledge", "break", "resume"]), max_size=200), st.integers(1, 5))
def test_whatever_happens_every_message_comes_out_once_and_new_ones_in_order(steps, window):
    outbox = Outbox()
    outbox.begin(session_present=False, window=window)
    added = 0
    out: list[int] = []
    first_sent: list[int] = []
    flying: dict[int, int] = {}
    for step in steps:
        if step == "add":
            outbox.add(entry(str(added)))
            added += 1
        elif step == "send":
            for number, topic in send(outbox):
                flying[number] = int(topic)
                if int(topic) not in first_sent:
                    first_sent.append(int(topic))
            assert outbox.in_flight <= window
        elif step == "acknowledge" and flying:
            number = min(flying, key=flying.get)
            assert int(outbox.acknowledge(number).topic) == flying[number]
            out.append(flying.pop(number))
        elif step in {"break", "resume"}:
            given_up = outbox.interrupted()
            if given_up is not None:
                out.append(int(given_up.topic))
            flying.clear()
            outbox.begin(session_present=step == "resume", window=window)
    out += [int(left.topic) for left in outbox.clear()]
    assert out == list(range(added))
    assert first_sent == sorted(first_sent)
    assert len(outbox) == 0


@pytest.mark.parametrize("size", [0, 1000])
def test_it_forgets_what_it_gave_up(size):
    outbox = Outbox()
    for number in range(QUEUED):
        outbox.add(entry(str(number), size))
    assert outbox.drop().topic == "0"
    assert len(outbox.clear()) == QUEUED - 1
    assert outbox._bytes == 0
