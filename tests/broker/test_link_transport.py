"""The byte stream below MQTT: nothing lost, garbled or left lying, whatever the stream does."""

import base64
import hashlib
import random
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.broker.reasons import ConnectionFailedError, Reason
from becomingone.broker.transport import READ_AT_ONCE, Transport
from becomingone.broker.websocket import WebSocket

ADDRESS = "broker:80"


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A server's frame, unmasked."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", final << 7 | opcode, length)
    elif length < 65_536:
        head = struct.pack("!BBH", final << 7 | opcode, 126, length)
    else:
        head = struct.pack("!BBQ", final << 7 | opcode, 127, length)
    return head + payload


def unframe(stream: bytes) -> list[tuple[int, bytes]]:
    """Take a client's frames apart."""
    frames = []
    while stream:
        length, start = stream[1] & 0x7F, 2
        assert stream[1] & 0x80, "a client masks"
        if length == 126:
            length, start = struct.unpack("!H", stream[2:4])[0], 4
        elif length == 127:
            length, start = struct.unpack("!Q", stream[2:10])[0], 10
        mask, body = stream[start : start + 4], stream[start + 4 : start + 4 + length]
        frames.append((stream[0] & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))))
        stream = stream[start + 4 + length :]
    return frames


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    for end in (here, there):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        end.setblocking(False)
    yield here, there
    here.close()
    there.close()


def receive(end: socket.socket) -> bytes:
    got = b""
    while True:
        try:
            data = end.recv(1 << 16)
        except BlockingIOError:
            return got
        if not data:
            return got
        got += data


def read_all(transport: Transport, size: int = 7) -> bytes:
    got = b""
    while True:
        try:
            piece = transport.recv(size)
        except BlockingIOError:
            return got
        if not piece:
            return got
        got += piece


@pytest.mark.parametrize("websocket", [None, WebSocket(ADDRESS, "/mqtt")], ids=["tcp", "websocket"])
def test_packets_leave_whole_and_in_order_through_a_stream_that_takes_little_at_a_time(ends, websocket):
    here, there = ends
    transport = Transport(here, ADDRESS, websocket=websocket)
    packets = [bytes([number]) * size for number, size in enumerate((100_000, 10, 1, 70_000, 300))]
    for packet in packets:
        assert transport.send(packet) == len(packet)
    got = b""
    while transport.backlog:
        transport.flush()
        got += receive(there)
    if websocket is not None:
        assert {opcode for opcode, _ in unframe(got)} == {2}
        got = b"".join(body for _, body in unframe(got))
    assert got == b"".join(packets)
    assert transport.sent == len(got)


def test_what_came_is_given_piece_by_piece_and_then_the_end(ends):
    here, there = ends
    transport = Transport(here, ADDRESS, received=b"early ")
    with pytest.raises(BlockingIOError):
        Transport(there, ADDRESS).recv(1)
    there.send(b"late")
    assert not transport.fill()
    there.close()
    transport.fill()
    assert transport.readable
    assert read_all(transport) == b"early late"
    assert transport.recv(1) == b""
    assert transport.error.reason is Reason.BROKEN
    assert str(transport.error) == "broker:80: the connection broke"


def test_a_flood_is_taken_in_portions():
    class Flood:
        def setblocking(self, _flag):
            pass

        def recv(self, size):
            return bytes(size)

    transport = Transport(Flood(), ADDRESS)
    assert transport.fill()
    assert READ_AT_ONCE <= transport.received <= READ_AT_ONCE + 65_536


def test_a_stream_that_broke_while_sending_is_told_once(ends):
    here, there = ends
    transport = Transport(here, ADDRESS)
    there.close()
    transport.send(b"x" * 100_000)
    transport.flush()
    transport.flush()
    assert transport.error.reason is Reason.BROKEN
    assert str(transport.error).startswith("broker:80: the connection broke")
    transport.close()
    transport.close()
    assert transport.fileno() == -1


def handshake(websocket: WebSocket) -> bytes:
    key = next(line for line in websocket.request().split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    digest = hashlib.sha1(key.split(b": ")[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest)


def test_a_websocket_is_asked_for_and_its_answer_checked():
    websocket = WebSocket("broker:8080", "/bus")
    assert websocket.request().startswith(b"GET /bus HTTP/1.1\r\nHost: broker:8080\r\n")
    good = b"HTTP/1.1 101 Switching Protocols\r\nUPGRADE: websocket\r\nSec-WebSocket-Accept: %b%b"
    protocol = b"\r\nsec-websocket-protocol: mqtt"
    websocket.check_response(good % (handshake(websocket), protocol))
    for head, text in (
        (b"HTTP/1.1 404 Not Found\x1b[31m\r\n", "the answer to /bus is 'HTTP/1.1 404 Not Found [31m'"),
        (b"garbage", "the answer to /bus is 'garbage'"),
        (good % (b"AAAA", protocol), "does not belong to the question"),
        (good % (handshake(websocket), b""), "no WebSocket for mqtt"),
    ):
        with pytest.raises(ConnectionFailedError) as caught:
            websocket.check_response(head)
        assert caught.value.reason is Reason.WEBSOCKET
        assert text in str(caught.value)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=10), st.integers(1, 300), st.integers(0, 2**32))
def test_frames_are_read_whatever_pieces_they_come_in(payloads, size, seed):
    rng = random.Random(seed)
    stream = b""
    for payload in payloads:
        cut = rng.randrange(len(payload) + 1)
        stream += frame(2, payload[:cut], final=False) + frame(9, b"ping") + frame(0, payload[cut:])
    websocket = WebSocket(ADDRESS, "/")
    got = b"".join(
        piece for place in range(0, len(stream), size) for piece in websocket.unwrap(stream[place : place + size])
    )
    assert got == b"".join(payloads)
    assert unframe(bytes(websocket.answers)) == [(10, b"ping")] * len(payloads)
    assert not websocket.closed


def test_a_server_that_closes_is_answered_and_ends_the_stream(ends):
    here, there = ends
    transport = Transport(here, ADDRESS, websocket=WebSocket(ADDRESS, "/"))
    there.send(frame(2, b"last") + frame(8, struct.pack("!H", 1001) + b"going away") + b"ignored")
    transport.fill()
    assert read_all(transport) == b"last"
    assert "closed the WebSocket" in str(transport.error)


@pytest.mark.parametrize(
    "stream",
    [
        frame(1, b"text"),
        frame(3, b""),
        b"\x82\x85masked",
        b"\xc2\x00",
        frame(9, bytes(126)),
        frame(9, b"", final=False),
    ],
    ids=["text", "unknown", "masked", "reserved", "long ping", "ping in pieces"],
)
def test_a_server_that_breaks_the_websocket_protocol_is_left(ends, stream):
    here, there = ends
    transport = Transport(here, ADDRESS, websocket=WebSocket(ADDRESS, "/"))
    there.send(stream)
    transport.fill()
    assert transport.error.reason is Reason.PROTOCOL
    assert str(transport.error).startswith("broker:80: the broker sent a WebSocket ")
