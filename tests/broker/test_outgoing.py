"""PUBLISH packets of QoS 0 that do not go through paho: its bytes, in the order in which they were handed over."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from becomingone.broker.client import PahoClient
from becomingone.broker.outbox import Entry
from becomingone.broker.outgoing import publish_once
from becomingone.broker.settings import BrokerSettings
from becomingone.broker.transport import Transport

FIVE, FOUR = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
VERSIONS = pytest.mark.parametrize("protocol", [FIVE, FOUR], ids=["five", "four"])


class Wire:
    """A client on one end of a stream; what it writes comes out at the other."""

    def __init__(self, protocol: MQTTProtocolVersion) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(5.0)
        self.transport = Transport(ours, "broker:1883")
        self.client = PahoClient(
            self.transport,
            "tester",
            None,
            settings=BrokerSettings(),
            session_s=0,
            protocol=protocol,
            packet_id=iter(range(1, 100)).__next__,
        )
        self.client.on_socket_register_write = lambda *_: None  # as the loop's: paho writes when it is told to
        self.client.greet()
        self.drain()

    def drain(self) -> bytes:
        """Have everything leave, and give it."""
        assert self.client.loop_write() == MQTTErrorCode.MQTT_ERR_SUCCESS
        size = self.transport.backlog
        self.transport.flush()
        assert not self.transport.backlog
        got = b""
        while len(got) < size:
            got += self.theirs.recv(size - len(got))
        return got

    def close(self) -> None:
        self.transport.close()
        self.theirs.close()

    def once(self, topic: str, payload: bytes, **how: object) -> bool:
        wanted = {"retain": False, "expiry_s": None, "content_type": None, **how}
        return self.client.send_once(topic, payload, **wanted)


@pytest.fixture
def wire(protocol):
    made = Wire(protocol)
    yield made
    made.close()


@VERSIONS
@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_383, 16_384, 100_000])
@pytest.mark.parametrize(
    "how", [{}, {"retain": True}, {"expiry_s": 2.5}, {"content_type": "application/cbor", "expiry_s": 60.0}]
)
def test_the_bytes_are_pahos(wire, size, how):
    payload = bytes(size)
    properties = wire.client.properties(how.get("expiry_s"), how.get("content_type"))
    wire.client.publish("node/ä", payload, 0, how.get("retain", False), properties)
    expected = wire.drain()
    assert wire.once("node/ä", payload, **how)
    assert not wire.client.want_write()  # paho has not seen it
    assert wire.drain() == expected


@VERSIONS
def test_what_paho_has_yet_to_send_leaves_first(wire):
    assert wire.client.send_entry(Entry("first", b"1", False, None), None) == 1
    assert wire.once("second", b"2")
    assert wire.once("third", b"3")
    sent = wire.drain()
    assert -1 < sent.index(b"first") < sent.index(b"second") < sent.index(b"third")
    assert wire.once("fourth", b"4")
    assert wire.client.send_entry(Entry("fifth", b"5", False, None), None) == 2
    sent = wire.drain()
    assert -1 < sent.index(b"fourth") < sent.index(b"fifth")


@VERSIONS
def test_without_a_stream_it_is_not_taken(wire):
    wire.theirs.close()
    wire.client.loop_read()
    wire.transport.fill()
    wire.client.loop_read()
    assert wire.client.socket() is None
    assert not wire.once("late", b"1")


@given(length=st.integers(0, 1 << 21))
def test_the_remaining_length_is_read_back(length):
    packet = publish_once("t", bytes(length), b"\0", retain=False)
    left, shift, at = 0, 0, 1
    while True:
        left |= (packet[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not packet[at - 1] & 0x80:
            break
    assert left == len(packet) - at
    assert packet[at:] == b"\0\1t\0" + bytes(length)
