"""PUBLISH packets read straight from the buffer: as paho reads them, or left to paho."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from becomingone.broker.incoming import Incoming, read_farewell, read_publish

TOPICS = st.text(min_size=1, max_size=50).filter(lambda text: text.isprintable())


def length(value: int) -> bytes:
    out = b""
    while True:
        value, digit = value >> 7, value & 0x7F
        out += bytes([digit | 0x80 if value else digit])
        if not value:
            return out


def publish(topic, payload, *, qos=0, packet_id=0, retain=False, five=False, dup=False):
    raw = topic if isinstance(topic, bytes) else topic.encode()
    body = struct.pack("!H", len(raw)) + raw
    if qos:
        body += struct.pack("!H", packet_id)
    if five:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/cbor"
        properties.MessageExpiryInterval = 7
        body += properties.pack()
    return bytes([0x30 | dup << 3 | qos << 1 | retain]) + length(len(body) + len(payload)) + body + payload


@given(TOPICS, st.binary(max_size=20_000), st.integers(0, 1), st.integers(1, 65_535), st.booleans(), st.booleans())
def test_what_was_written_is_read(topic, payload, qos, packet_id, retain, five):
    packet = publish(topic, payload, qos=qos, packet_id=packet_id, retain=retain, five=five)
    expected = Incoming(3 + len(packet), topic, payload, retain, packet_id * qos)
    assert read_publish(b"xyz" + packet + b"\x30", 3, five=five) == expected


@given(TOPICS, st.binary(max_size=300), st.booleans(), st.data())
def test_a_part_of_a_packet_is_left(topic, payload, five, data):
    packet = publish(topic, payload, qos=1, packet_id=9, five=five)
    cut = data.draw(st.integers(1, len(packet) - 1))
    assert read_publish(packet[:cut], 0, five=five) is None


@pytest.mark.parametrize(
    "packet",
    [
        b"\x40\x02\x00\x01",
        b"\xd0\x00",
        publish("t", b"", qos=2, packet_id=1),
        b"\x36\x06\x00\x01t\x00\x01!",
        publish("", b"!"),
        publish(b"\xff\xfe", b"!"),
        b"\x30\x03\x00\x05t!!",
        b"\x30\x01\x00",
        b"\x30\x00",
        b"\x30\xff\xff\xff\xff\x01" + bytes(100),
        b"\x32\x03\x00\x01t",
    ],
)
def test_what_is_not_plain_is_left(packet):
    assert read_publish(packet, 0, five=False) is None


@pytest.mark.parametrize("rest", [b"\x7f", b"\xff\xff\xff\xff\xff", b""])
def test_properties_that_reach_beyond_the_packet_are_left(rest):
    body = b"\x00\x01t" + rest
    assert read_publish(bytes([0x30, len(body)]) + body, 0, five=True) is None


@given(st.binary(min_size=1, max_size=60), st.booleans())
def test_no_bytes_make_it_fail(data, five):
    packet = read_publish(data, 0, five=five)
    assert packet is None or packet.end <= len(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xe0\x01\x8e", 0x8E),
        (b"\xe0\x02\x8b\x00", 0x8B),
        (b"\xe0\x00", None),
        (b"\xe0", None),
        (b"\xe0\x01", None),
        (b"\xd0\x00\x00", None),
    ],
)
def test_why_a_broker_says_goodbye_is_read(data, code):
    assert read_farewell(b"..." + data, 3) == code
