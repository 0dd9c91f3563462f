"""What only MQTT 5 can say, and what carries it: TLS, WebSocket."""

import asyncio
import random
import struct

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from becomingone.broker.embedded import free_port
from becomingone.broker.link import Will
from becomingone.broker.reasons import Reason

from .authority import Authority
from .bench import LOCALHOST, Mosquitto, read_packet

ACCEPT = b"\x20\x03\x00\x00\x00"


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as made:
        yield made


@pytest.fixture
def url(broker):
    return f"mqtt://{LOCALHOST}:{broker.port}"


def cut(bench, link):
    link._connection.transport.shutdown(2)
    assert bench.until(lambda: not link.connected)


def close(bench, link):
    closed = []
    link.close(lambda: closed.append(True))
    assert bench.until(lambda: closed)
    bench.links.remove(link)


def test_connect_says_what_the_protocol_asks_for(bench):
    connects = []

    async def serve(reader, writer):
        connects.append((await read_packet(reader))[1])
        writer.write(ACCEPT)
        await reader.read()

    link = bench.link("x", bench.serve(serve).url, will=Will("w", b"lost"), session_s=90, keepalive_s=7, username="me")
    bench.up(link)
    body = connects[0]
    assert body[:10] == b"\x00\x04MQTT\x05\xac\x00\x07"  # version 5; user name, retained will of QoS 1; keepalive
    assert b"\x11" + struct.pack("!I", 90) in body  # session expiry interval
    assert b"\x21" + struct.pack("!H", 1_000) in body  # receive maximum
    assert b"\x27" + struct.pack("!I", 2 << 20) in body  # maximum packet size
    assert b"\x26\x00\x08protocol\x00\x011" in body  # user property


class Witness:
    """Another program's client of MQTT 5, which sees the properties."""

    def __init__(self, port: int, topic: str) -> None:
        self.heard = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.ready = False
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: setattr(self, "ready", True)
        self.client.on_message = lambda _client, _data, message: self.heard.append(message)
        self.client.connect(LOCALHOST, port)
        self.client.loop_start()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.mosquitto
def test_messages_carry_their_expiry_and_content_type(bench, broker, url):
    witness = Witness(broker.port, "t")
    assert bench.until(lambda: witness.ready)
    link = bench.up(bench.link("x", url))
    for qos in (0, 1):
        assert link.publish("t", b"\xa0", qos=qos, expiry_s=29.2, content_type="application/cbor")
    assert link.publish("t", b"plain", qos=1)
    assert bench.until(lambda: len(witness.heard) == 3)
    witness.close()
    by_qos = {(message.qos, message.payload): message.properties for message in witness.heard}
    for qos in (0, 1):
        properties = by_qos[qos, b"\xa0"]
        assert (properties.MessageExpiryInterval, properties.ContentType) == (30, "application/cbor")
    assert not hasattr(by_qos[1, b"plain"], "MessageExpiryInterval")


@pytest.mark.mosquitto
@pytest.mark.slow
def test_an_expired_message_does_not_wait_in_a_session(bench, url):
    first, _ = bench.listener("sleeper", url, "t", session_s=60)
    close(bench, first)
    speaker = bench.up(bench.link("speaker", url))
    told = []
    speaker.publish("t", b"short", qos=1, expiry_s=1, settled=told.append)
    speaker.publish("t", b"long", qos=1, expiry_s=60, settled=told.append)
    assert bench.until(lambda: told == [True, True])
    begun = bench.loop.time()
    assert bench.until(lambda: bench.loop.time() > begun + 2.1, timeout_s=5)  # Mosquitto counts in whole seconds
    _, heard = bench.listener("sleeper", url, "t", session_s=60)
    assert bench.until(lambda: heard)
    assert [message.payload for message in heard] == [b"long"]


def test_a_message_that_expires_before_it_can_be_sent_again_is_given_up(bench):
    got = []

    async def serve(reader, writer):
        await read_packet(reader)
        if got:
            await forgotten.wait()
        writer.write(ACCEPT)
        while True:
            first, body = await read_packet(reader)
            if first == 0xE0:
                return
            got.append(body[-1:])
            if len(got) > 2:
                writer.write(b"\x40\x02" + body[3:5])

    forgotten = asyncio.Event()
    link = bench.up(bench.link("x", bench.serve(serve).url))
    told = []
    for payload, expiry_s in ((b"s", 0.05), (b"l", 60.0)):
        link.publish("t", payload, qos=1, expiry_s=expiry_s, settled=lambda known, p=payload: told.append((p, known)))
    assert bench.until(lambda: len(got) == 2)
    begun = bench.loop.time()
    cut(bench, link)
    assert bench.until(lambda: bench.loop.time() > begun + 0.05)
    forgotten.set()
    assert bench.until(lambda: len(told) == 2)
    assert sorted(told) == [(b"l", True), (b"s", False)]
    assert got == [b"s", b"l", b"l"]
    assert link.metrics.failures[Reason.EXPIRED] == 1


def test_on_mqtt_3_1_1_expiry_and_content_type_have_no_effect(bench):
    got = []

    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(b"\x20\x02\x00\x00")
        got.append(await read_packet(reader))
        await reader.read()

    link = bench.up(bench.link("x", bench.serve(serve).url, protocol="3.1.1"))
    assert link.publish("t", b"!", expiry_s=1.0, content_type="text/plain")
    assert bench.until(lambda: got)
    assert got == [(0x30, b"\x00\x01t!")]


# -- transports ----------------------------------------------------------------------------------------------------


@pytest.mark.mosquitto
@pytest.mark.parametrize("scheme", ["mqtts", "ws", "wss"])
def test_messages_pass_encrypted_and_in_websockets(bench, tmp_path, scheme):
    authority = Authority(tmp_path / "authority")
    server, mine = authority.server(), authority.client("kitchen")
    port = free_port(LOCALHOST)
    lines = [f"listener {port} {LOCALHOST}"]
    options = {}
    if scheme != "ws":
        lines += [f"cafile {authority.ca}", f"certfile {server.certificate}", f"keyfile {server.key}"]
        lines += ["require_certificate true", "use_identity_as_username true"]
        options = {"ca": authority.ca, "certificate": mine.certificate, "key": mine.key}
    if scheme != "mqtts":
        lines.append("protocol websockets")
    with Mosquitto(tmp_path, *lines) as broker:
        link, heard = bench.listener("x", f"{scheme}://localhost:{port}", "t", **options)
        payloads = [random.Random(number).randbytes(50) for number in range(300)]
        large = [random.Random(number).randbytes(300_000) for number in range(3)] if scheme == "mqtts" else []
        for payload in (*payloads, *large):
            assert link.publish("t", payload, qos=1)
        assert bench.until(lambda: len(heard) == len(payloads) + len(large))
        assert [message.payload for message in heard] == [*payloads, *large]
        if scheme != "ws":
            assert "as x (p5, c1, k10, u'kitchen')" in broker.log


@pytest.mark.mosquitto
def test_a_large_message_goes_out_whole_through_a_websocket(bench, tmp_path):
    """Out only: Mosquitto 2.0 itself sends large messages in a WebSocket at a crawl."""
    port = free_port(LOCALHOST)
    with Mosquitto(tmp_path, f"listener {port} {LOCALHOST}", "protocol websockets") as broker:
        _, heard = bench.listener("ear", f"mqtt://{LOCALHOST}:{broker.port}", "t")
        link = bench.up(bench.link("x", f"ws://{LOCALHOST}:{port}"))
        payloads = [random.Random(number).randbytes(1_000_000) for number in range(8)]
        for payload in payloads:
            assert link.publish("t", payload, qos=1)
        assert bench.until(lambda: len(heard) == len(payloads))
        assert [message.payload for message in heard] == payloads
