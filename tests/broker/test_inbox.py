"""What waits for its handlers: in order, in turns, bounded; of live messages the oldest go when they are too many."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.broker.inbox import BATCH, INBOX, Batch, Inbox
from becomingone.broker.incoming import read_bulk, read_publish
from becomingone.broker.link import Message, Metrics
from becomingone.errors import LinkError

from .bench import read_packet


class Turns:
    """A scheduler whose turns are given by hand, and whose clock goes on by hand."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.posted: deque[Callable[[], None]] = deque()

    def monotonic_ns(self) -> int:
        return self.now_ns

    def post(self, callback: Callable[[], None]) -> None:
        self.posted.append(callback)

    def run(self) -> None:
        while self.posted:
            self.posted.popleft()()


class Rig:
    """An inbox and what has been handled."""

    def __init__(self) -> None:
        self.turns, self.metrics = Turns(), Metrics()
        self.handled: list[str] = []
        self.calls: list[str] = []
        self.cost_ns = 0
        self.inbox = Inbox(
            self.turns,  # type: ignore[arg-type]
            self.metrics,
            route=lambda message: self.handle([(message.topic, b"")]),
            pause=lambda: self.calls.append("pause"),
            resume=lambda: self.calls.append("resume"),
        )
        self.inbox.holding = False

    def handle(self, messages: Any) -> None:
        self.handled += [topic for topic, _ in messages]
        self.turns.now_ns += self.cost_ns

    def put(self, name: str) -> None:
        self.inbox.put(Message(name, b""))

    def put_batch(self, *names: str) -> None:
        self.inbox.put_batch(Batch([(name, b"") for name in names], sum(map(len, names)), self.handle))


def test_all_are_handled_in_the_order_in_which_they_came() -> None:
    rig = Rig()
    rig.put("a")
    rig.put_batch("b", "c")
    rig.put("d")
    rig.put_batch("e")
    assert len(rig.inbox) == 5
    rig.turns.run()
    assert rig.handled == list("abcde")
    assert len(rig.inbox) == 0
    assert (rig.metrics.received, rig.metrics.bytes_received, rig.metrics.shed) == (3, 3, 0)  # others: their route


def test_a_turn_ends_and_others_have_theirs() -> None:
    rig = Rig()
    rig.cost_ns = 6_000_000
    for name in "abcde":
        rig.put_batch(name)
    rig.turns.posted.popleft()()
    assert rig.handled == ["a", "b"]
    rig.turns.run()
    assert rig.handled == list("abcde")


def test_the_oldest_live_ones_are_shed_and_nothing_else() -> None:
    rig = Rig()
    names = [f"n{number}" for number in range(INBOX + 300)]
    rig.put("first")
    for at in range(0, len(names), 200):
        rig.put_batch(*names[at : at + 200])
        rig.put(f"single{at}")
    rig.turns.run()
    assert [name for name in rig.handled if name.startswith("n")] == names[300:]
    assert [name for name in rig.handled if not name.startswith("n")] == [
        "first",
        *(f"single{at}" for at in range(0, len(names), 200)),
    ]
    assert rig.metrics.shed == 300
    assert rig.calls.count("pause") == 0


def test_what_is_never_shed_makes_the_broker_wait() -> None:
    rig = Rig()
    for number in range(INBOX):
        rig.put(f"{number}")
    assert rig.calls == ["pause"]
    rig.turns.run()
    assert rig.calls[-1] == "resume"
    assert len(rig.handled) == INBOX


def test_nothing_is_delivered_while_it_is_held_and_nothing_once_it_is_cleared() -> None:
    rig = Rig()
    rig.inbox.holding = True
    rig.put_batch("a")
    rig.put("b")
    rig.turns.run()
    assert rig.handled == []
    rig.inbox.clear()
    rig.inbox.holding = False
    rig.inbox.deliver_soon()
    rig.turns.run()
    assert rig.handled == []
    assert len(rig.inbox) == 0


def test_a_handler_that_fails_costs_its_batch_and_no_other() -> None:
    rig = Rig()

    def fail(_messages: Any) -> None:
        raise ValueError("a bug")

    rig.inbox.put_batch(Batch([("a", b"")], 1, fail))
    rig.put_batch("b")
    with pytest.raises(ValueError, match="a bug"):
        rig.turns.run()
    rig.turns.run()
    assert rig.handled == ["b"]
    assert len(rig.inbox) == 0


# Read by the batch

WANTED = {b"t": "t", b"room/a": "room/a", "größe".encode(): "größe"}


def varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        out.append(digit | 0x80 * bool(value))
        if not value:
            return bytes(out)


def packet(topic: bytes, payload: bytes, *, first: int = 0x30, properties: bytes | None = None) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + (b"\0\1" if first & 6 else b"")
    body += b"" if properties is None else varint(len(properties)) + properties
    return bytes((first,)) + varint(len(body) + len(payload)) + body + payload


@given(
    st.lists(
        st.binary(max_size=30)
        | st.builds(
            packet,
            st.sampled_from([*WANTED, b"u", b"", b"\xff"]),
            st.binary(max_size=40) | st.integers(120, 20_000).map(bytes),
            first=st.sampled_from((0x30,) * 8 + (0x31, 0x32, 0x34, 0x38, 0x40, 0xD0)),
            properties=st.sampled_from((None, b"", b"\x02\0\0\0\x07", bytes(200))),
        ),
        max_size=6,
    ),
    st.booleans(),
    st.integers(0, 40),
    st.integers(1, 4),
)
def test_read_by_the_batch_as_one_by_one(pieces: list[bytes], five: bool, cut: int, most: int) -> None:
    """Every message that is read is the one that is read singly; what is left is left where it begins."""
    data = b"".join(pieces)
    data = data[: max(0, len(data) - cut)]
    messages, size, end = read_bulk(data, 0, WANTED, most, five=five)
    at = 0
    for topic, payload in messages:
        single = read_publish(data, at, five=five)
        assert single is not None
        assert (single.topic, single.payload, single.retained, single.packet_id) == (topic, payload, False, 0)
        at = single.end
    assert at == end
    assert len(messages) <= most
    assert size == sum(len(topic.encode()) + len(payload) for topic, payload in messages)


@pytest.mark.parametrize("five", [False, True])
def test_plain_messages_of_wanted_topics_are_all_read(five: bool) -> None:
    properties = b"" if five else None
    data = b"".join(packet(b"t", bytes(n), properties=properties) for n in (0, 1, 100, 127, 128, 16_000))
    messages, _, end = read_bulk(data, 0, WANTED, BATCH, five=five)
    assert [len(payload) for _, payload in messages] == [0, 1, 100, 127, 128, 16_000]
    assert end == len(data)
    for most in range(1, 5):
        assert len(read_bulk(data, 0, WANTED, most, five=five)[0]) == most


# On a real link

ACCEPT = b"\x20\x02\x00\x00"


def chatter(*parts: bytes) -> Any:
    """A broker that accepts, grants, and sends so many parts, each but the first when it has been sent something."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(ACCEPT)
        body = (await read_packet(reader))[1]
        writer.write(b"\x90\x03" + body[:2] + b"\x01")
        for number, part in enumerate(parts):
            if number:
                await read_packet(reader)
            writer.write(part)
            await writer.drain()
        await reader.read()

    return serve


def test_a_link_hands_over_what_came_together_and_the_rest_singly(bench: Any) -> None:
    live = [packet(b"room/%d" % (n % 3), b"%d" % n) for n in range(2_000)]
    kept = packet(b"room/0", b"kept", first=0x32)
    stored = packet(b"room/1", b"stored", first=0x31)
    data = b"".join([*live[:1000], kept, stored, *live[1000:]])
    first = sum(map(len, live[:3]))
    link = bench.link("x", bench.serve(chatter(data[:first], data[first:])).url, protocol="3.1.1")
    singly: list[tuple[str, bytes]] = []
    batches: list[list[tuple[str, bytes]]] = []
    link.subscribe(
        "room/+",
        lambda message: singly.append((message.topic, message.payload)),
        qos=1,
        bulk=lambda messages: batches.append(list(messages)),
    )
    bench.up(link)
    assert bench.until(lambda: len(singly) == 3)  # by now it knows the topics
    assert link.publish("go", b"")
    assert bench.until(lambda: len(singly) + sum(map(len, batches)) == 2_002)
    together = [message for batch in batches for message in batch]
    assert sorted(int(payload) for _, payload in [*together, *singly] if payload.isdigit()) == list(range(2_000))
    numbers = [int(payload) for _, payload in together]
    assert numbers == sorted(numbers)
    assert {payload for _, payload in singly} >= {b"kept", b"stored"}
    assert len(together) > 1_900  # all but what a segment's end cuts in two
    assert max(map(len, batches)) > 10
    assert link.metrics.received == 2_002
    assert link.metrics.bytes_received == 6 * 2_002 + sum(len(b"%d" % n) for n in range(2_000)) + 10


def test_who_else_has_asked_for_a_topic_gets_its_messages(bench: Any) -> None:
    data = b"".join(packet(b"room/0", b"%d" % n) for n in range(50))
    link = bench.link("x", bench.serve(chatter(data)).url, protocol="3.1.1")
    heard: list[bytes] = []
    other: list[bytes] = []
    batches: list[Any] = []
    link.subscribe("room/+", lambda message: heard.append(message.payload), bulk=batches.append)
    link.subscribe("room/0", lambda message: other.append(message.payload))
    bench.up(link)
    assert bench.until(lambda: len(other) == 50)
    assert heard == other
    assert batches == []


def test_one_subscription_of_a_link_is_taken_by_the_batch(bench: Any) -> None:
    link = bench.link("x", bench.serve(chatter()).url, protocol="3.1.1")
    link.subscribe("a/+", lambda _message: None, bulk=lambda _messages: None)
    with pytest.raises(LinkError, match=r"by the batch, and that is a/\+"):
        link.subscribe("b/+", lambda _message: None, bulk=lambda _messages: None)
