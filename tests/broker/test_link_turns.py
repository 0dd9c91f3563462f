"""What a real link does in its owner's turns: handlers, floods, breaks, goodbyes."""

import asyncio
import itertools
import struct

import paho.mqtt.client as mqtt
import pytest

from becomingone.broker.base import INBOX
from becomingone.broker.link import Will
from becomingone.errors import MissingLibraryError

from .bench import LOCALHOST, Bench, Mosquitto, read_packet

ACCEPT = b"\x20\x02\x00\x00"


def publish(topic: bytes, payload: bytes) -> bytes:
    return b"\x30" + bytes([2 + len(topic) + len(payload)]) + struct.pack("!H", len(topic)) + topic + payload


def flood(count, *, then=b""):
    """A broker that sends so many messages at once."""

    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(ACCEPT)
        body = (await read_packet(reader))[1]
        writer.write(b"\x90\x03" + body[:2] + b"\x00")
        for number in range(count):
            writer.write(publish(b"t", b"%d" % number))
        await writer.drain()
        writer.write(then)
        if not then:
            writer.close()
        await reader.read()

    return serve


def test_a_flood_leaves_others_their_turns_and_waits_in_the_network(bench):
    link = bench.link("x", bench.serve(flood(3 * INBOX, then=b"\xd0\x00")).url, protocol="3.1.1")
    heard, inbox, turns = [], [], []
    tick = bench.loop.time

    def handle(message):
        heard.append(int(message.payload))
        inbox.append(len(link._inbox))

    def turn():
        turns.append(tick())
        bench.loop.call_soon(turn)

    link.subscribe("t", handle)
    bench.up(link)
    turn()
    assert bench.until(lambda: len(heard) == 3 * INBOX, timeout_s=30)
    assert heard == list(range(3 * INBOX))
    assert max(inbox) < 2 * INBOX
    assert sorted(later - sooner for sooner, later in itertools.pairwise(turns))[len(turns) // 2] < 0.1
    assert link.reasons == []


def test_what_came_before_the_connection_broke_is_still_delivered(bench):
    link = bench.link("x", bench.serve(flood(500)).url, protocol="3.1.1")
    heard = []
    link.subscribe("t", lambda message: heard.append(int(message.payload)))
    link.start()
    assert bench.until(lambda: link.reasons)
    assert bench.until(lambda: len(heard) >= 500)
    assert heard[:500] == list(range(500))


def test_a_handler_that_takes_long_is_counted(bench):
    link = bench.link("x", bench.serve(flood(3, then=b"\xd0\x00")).url, protocol="3.1.1")
    heard = []

    def handle(message):
        end = bench.loop.time() + (0.05 if message.payload == b"1" else 0.0)
        while bench.loop.time() < end:
            pass
        heard.append(message.payload)

    link.subscribe("t", handle)
    bench.up(link)
    assert bench.until(lambda: len(heard) == 3)
    assert link.metrics.long_turns >= 1


def test_a_message_whose_topic_is_no_text_ends_the_connection(bench):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(ACCEPT + publish(b"\xff\xfe", b"!"))
        await reader.read()

    link = bench.link("x", bench.serve(serve).url, protocol="3.1.1")
    link.start()
    assert bench.until(lambda: link.reasons)
    assert "the broker sent what cannot be read: UnicodeDecodeError" in link.reasons[0]


@pytest.mark.slow
def test_a_pong_behind_a_flood_is_waited_for(bench):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(ACCEPT)
        while True:
            writer.write(publish(b"t", b"!"))
            await asyncio.sleep(0.2)

    link = bench.up(bench.link("x", bench.serve(serve).url, protocol="3.1.1", keepalive_s=1))
    begun = bench.loop.time()
    assert bench.until(lambda: bench.loop.time() > begun + 4.5, timeout_s=10)
    assert link.connected
    assert link.reasons == []


@pytest.mark.mosquitto
def test_a_goodbye_lets_everything_out_first_and_nobody_hears_the_will(bench, tmp_path):
    with Mosquitto(tmp_path) as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        _, heard = bench.listener("ear", url, "#")
        link = bench.up(bench.link("x", url, will=Will("will", b"lost")))
        told = []
        for number in range(30):
            assert link.publish("once", bytes(100_000) + b"%d" % number)
            assert link.publish("surely", b"%d" % number, qos=1, settled=told.append)
        closed = []
        link.close(lambda: closed.append(True))
        assert bench.until(lambda: closed)
        bench.links.remove(link)
        assert told == [True] * 30
        assert bench.until(lambda: len(heard) == 60)
        assert "will" not in {message.topic for message in heard}
        assert not link.publish("late", b"!")


def test_a_goodbye_that_nobody_hears_is_short(bench, mocker):
    mocker.patch("becomingone.broker.paho.GOODBYE_TIMEOUT_S", 0.1)

    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(ACCEPT)
        await asyncio.sleep(60)

    link = bench.up(bench.link("x", bench.serve(serve).url, protocol="3.1.1"))
    told, closed = [], []
    assert link.publish("t", b"!", qos=1, settled=told.append)
    link.close(lambda: closed.append(True))
    assert bench.until(lambda: closed)
    bench.links.remove(link)
    assert told == [False]


def test_an_unknown_paho_is_refused_in_one_line(bench, monkeypatch):
    monkeypatch.delattr(mqtt.Client, "_create_socket")
    with pytest.raises(MissingLibraryError, match=r"this paho-mqtt \(.+\) is not known: pip install"):
        bench.link("x", "mqtt://localhost")


def test_a_callback_that_fails_keeps_neither_the_others_nor_the_link_from_their_work():
    with Bench() as bench:
        broken = RuntimeError("a bug")

        async def serve(reader, writer):
            await read_packet(reader)
            writer.write(ACCEPT)
            body = (await read_packet(reader))[1]
            writer.write(b"\x40\x02" + body[3:5])

        def fail(*_arguments):
            raise broken

        link = bench.link("x", bench.serve(serve).url, protocol="3.1.1")
        ups, told = [], []
        link.on_up(fail)
        link.on_up(lambda: ups.append(True))
        link._down.insert(0, fail)
        bench.up(link)
        assert ups
        assert link.publish("t", b"1", qos=1, settled=fail)
        assert bench.until(lambda: link.reasons)
        assert bench.until(lambda: link.connected)
        assert link.publish("t", b"2", qos=1, settled=told.append)
        assert bench.until(lambda: told)
        assert told == [True]
        assert {context["exception"] for context in bench.failures} == {broken}
        assert len(bench.failures) >= 4
