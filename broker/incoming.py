"""Packets as they come from a broker, read straight from the buffer.

PUBLISH packets are nearly all that a hub reads, and paho-mqtt spends 20 µs on one of MQTT 3.1.1 and 100 µs on one of
MQTT 5 (seen with 2.2.0), most of it on properties that nobody asks for. Whatever is not plain here is left to paho.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

PUBLISH: Final = 0x30
DISCONNECT: Final = 0xE0
_RETAIN: Final = 0x01
_MOST_LENGTH_BYTES: Final = 4
_LEAST_PLAIN: Final = 5  # what is looked at before the length is known to be there


class Incoming(NamedTuple):
    """One PUBLISH packet (MQTT 5, 3.3).

    Parameters
    ----------
    end : int
        Where the next packet begins.
    topic : str
        The topic.
    payload : bytes
        The payload.
    retained : bool
        The RETAIN flag.
    packet_id : int
        0 at QoS 0.
    """

    end: int
    topic: str
    payload: bytes
    retained: bool
    packet_id: int


def read_publish(data: bytes, start: int, *, five: bool) -> Incoming | None:
    """Read the packet that begins at `start`.

    Parameters
    ----------
    data : bytes
        What has come from the broker.
    start : int
        Where a packet begins.
    five : bool
        Whether it is MQTT 5, whose properties are skipped.

    Returns
    -------
    Incoming or None
        None when it is another packet, of QoS 2, not all there, or not as it should be.
    """
    first = data[start]
    qos = first >> 1 & 3
    if first & 0xF0 != PUBLISH or qos > 1:
        return None
    place, length = _length(data, start + 1)
    end = place + length
    if place < 0 or end > len(data) or length < 2:
        return None
    topic_end = place + 2 + (data[place] << 8 | data[place + 1])
    body = topic_end + 2 * qos
    if body > end or topic_end == place + 2:
        return None
    if five:
        after, size = _length(data, body)
        body = after + size
        if after < 0 or body > end:
            return None
    try:
        topic = data[place + 2 : topic_end].decode()
    except UnicodeDecodeError:
        return None
    packet_id = data[topic_end] << 8 | data[topic_end + 1] if qos else 0
    return Incoming(end, topic, data[body:end], bool(first & _RETAIN), packet_id)


def read_bulk(
    data: bytes, start: int, wanted: Mapping[bytes, str], most: int, *, five: bool
) -> tuple[list[tuple[str, bytes]], int, int]:
    """Read the packets that begin at `start` as long as they are plain ones of wanted topics.

    Plain is: PUBLISH of QoS 0, not retained, no longer than 16,383 bytes. Each is read as `read_publish` reads it.

    Parameters
    ----------
    data, start, five : bytes, int, bool
        As in `read_publish`.
    wanted : mapping of bytes to str
        The topics as they cross the wire, and as text.
    most : int
        Packets that are read.

    Returns
    -------
    messages : list of (str, bytes)
        Topic and payload of each.
    size : int
        Bytes of the topics and payloads.
    end : int
        Where the next packet begins.
    """
    messages: list[tuple[str, bytes]] = []
    size = 0
    limit = len(data)
    while len(messages) < most and start + _LEAST_PLAIN <= limit and data[start] == PUBLISH:
        length, place = data[start + 1], start + 2
        if length > 0x7F:
            more, place = data[place], place + 1
            if more > 0x7F:
                break
            length = length & 0x7F | more << 7
        end = place + length
        topic_end = body = place + 2 + (data[place] << 8 | data[place + 1])
        if end > limit or topic_end + five > end:
            break
        if five:
            properties = data[topic_end]
            body += 1 + properties
            if properties > 0x7F or body > end:
                break
        topic = wanted.get(data[place + 2 : topic_end])
        if topic is None:
            break
        messages.append((topic, data[body:end]))
        size += topic_end - place - 2 + end - body
        start = end
    return messages, size, start


def read_farewell(data: bytes, start: int) -> int | None:
    """Read the reason code of the DISCONNECT packet of MQTT 5 that begins at `start` (3.14), if there is one.

    paho-mqtt 2.1 overlooks it where neither properties nor their length follow, which is what brokers send.
    """
    there = len(data) >= start + 3 and data[start] == DISCONNECT and 1 <= data[start + 1] < 0x80
    return data[start + 2] if there else None


def _length(data: bytes, place: int) -> tuple[int, int]:
    """Read a variable byte integer (MQTT 5, 1.5.5); give the place after it, -1 when it is not all there, and it."""
    value = 0
    for shift in range(0, 7 * _MOST_LENGTH_BYTES, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return place, value
    return -1, 0
