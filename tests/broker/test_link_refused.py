"""What cannot be connected: one line that a person can act on, logged once, counted by reason, tried again in peace."""

import datetime
import socket
import threading

import pytest

from becomingone.broker.embedded import free_port
from becomingone.broker.reasons import Reason

from .bench import LOCALHOST, read_packet

DAY = datetime.timedelta(days=1)


# -- nobody there --------------------------------------------------------------------------------------------------


def test_a_closed_port(bench, told):
    port = free_port(LOCALHOST)
    told(bench.link("x", f"mqtt://{LOCALHOST}:{port}"), Reason.REFUSED, f"{LOCALHOST}:{port}: Connection refused", 6)


def test_a_name_that_does_not_exist(bench, told, mocker):
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    mocker.patch("becomingone.broker.dial.socket.getaddrinfo", side_effect=error)
    link = bench.link("x", "mqtt://nowhere.invalid")
    told(link, Reason.NAME, "nowhere.invalid:1883: the name cannot be resolved: Name or service not known")


def test_what_is_no_name(bench, told):
    link = bench.link("x", "mqtt://a..b")
    link.start()
    assert bench.until(lambda: link.reasons)
    assert link.reasons[0].startswith("a..b:1883: ")
    assert set(link.metrics.failures) == {Reason.NAME}


def test_a_name_whose_resolution_hangs_costs_one_thread_and_no_more(bench, told, mocker):
    mocker.patch("becomingone.broker.dial.DIAL_TIMEOUT_S", -0.9)  # and a second of grace
    hangs = threading.Event()
    asked = mocker.patch(
        "becomingone.broker.dial.socket.getaddrinfo", side_effect=lambda *_, **__: hangs.wait(60) and []
    )
    told(bench.link("x", "mqtt://slow.local"), Reason.NAME, "slow.local:1883: the name is not resolved within -0.9 s")
    assert asked.call_count == 1
    hangs.set()


def test_an_address_that_nobody_has(bench, told, mocker):
    mocker.patch("becomingone.broker.dial.TCP_TIMEOUT_S", 0.05)
    mocker.patch("becomingone.broker.dial.socket.socket.connect", side_effect=TimeoutError("timed out"))
    told(bench.link("x", "mqtt://192.0.2.1"), Reason.TIMEOUT, "192.0.2.1:1883: nothing answers there")


# -- somebody else there -------------------------------------------------------------------------------------------


async def mute(reader, _writer):
    await reader.read()


def test_a_server_that_takes_the_connection_and_never_answers(bench, told, mocker):
    mocker.patch("becomingone.broker.paho.FIVE_TIMEOUT_S", 0.05)
    mocker.patch("becomingone.broker.paho.ANSWER_TIMEOUT_S", 0.1)
    server = bench.serve(mute)
    line = f"{LOCALHOST}:{server.port}: the broker did not answer CONNECT or SUBSCRIBE"
    told(bench.link("x", server.url), Reason.SILENT, line)


@pytest.mark.parametrize("scheme", ["mqtts", "wss", "ws"])
def test_a_server_that_never_answers_a_handshake(bench, told, mocker, scheme):
    mocker.patch("becomingone.broker.dial.DIAL_TIMEOUT_S", 0.1)
    server = bench.serve(mute)
    what = "the WebSocket handshake" if scheme == "ws" else "the TLS handshake"
    line = f"{LOCALHOST}:{server.port}: the broker did not answer {what}"
    told(bench.link("x", server.url.replace("mqtt", scheme)), Reason.SILENT, line)


def test_a_web_server_that_has_no_websocket_there(bench, told):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    server = bench.serve(serve)
    line = f"{LOCALHOST}:{server.port}: no MQTT over WebSocket: the answer to /mqtt is 'HTTP/1.1 404 Not Found'"
    told(bench.link("x", server.url.replace("mqtt", "ws")), Reason.WEBSOCKET, line)


@pytest.mark.parametrize(
    "answer",
    [b"\x20\x05\x00\x00\x7f\x21\x00", b"\x00\x00", b"\x20\xff\xff\xff\xff\xff"],
    ids=["properties cut short", "type 0", "endless length"],
)
def test_a_server_that_speaks_something_else(bench, told, answer):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(answer)
        await reader.read()

    server = bench.serve(serve)
    link = bench.link("x", server.url, protocol="5")
    link.start()
    assert bench.until(lambda: len(link.reasons) >= 3)
    assert set(link.metrics.failures) == {Reason.PROTOCOL}
    assert link.reasons[0].startswith(f"{LOCALHOST}:{server.port}: the broker ")


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (2, Reason.CLIENT_ID, "Client identifier not valid; the client id is x"),
        (3, Reason.UNAVAILABLE, "Server unavailable"),
        (5, Reason.CREDENTIALS, "Not authorized; are me and the password right, and may it use the client id x?"),
    ],
)
def test_a_refusal_of_mqtt_3_1_1(bench, told, code, reason, text):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(bytes((0x20, 2, 0, code)))
        await reader.read()

    server = bench.serve(serve)
    line = f"{LOCALHOST}:{server.port}: the broker refused the connection: {text}"
    told(bench.link("x", server.url, protocol="3.1.1", username="me"), reason, line)


def test_a_broker_of_mqtt_5_may_say_why_and_cannot_garble_the_log(bench, told):
    async def serve(reader, writer):
        await read_packet(reader)
        why = b"maintenance\r\nuntil \x1b[31mnoon"
        properties = b"\x1f" + len(why).to_bytes(2, "big") + why
        body = bytes((0, 0x88, len(properties))) + properties
        writer.write(bytes((0x20, len(body))) + body)
        await reader.read()

    server = bench.serve(serve)
    text = "the broker refused the connection: Server unavailable (maintenance until [31mnoon)"
    told(bench.link("x", server.url), Reason.UNAVAILABLE, f"{LOCALHOST}:{server.port}: {text}")


def test_a_broker_that_cannot_do_what_the_protocol_needs(bench, told):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(b"\x20\x05\x00\x00\x02\x24\x00")  # CONNACK with a maximum QoS of 0
        await reader.read()

    server = bench.serve(serve)
    line = f"{LOCALHOST}:{server.port}: the broker has no QoS 1, or retains nothing"
    told(bench.link("x", server.url), Reason.UNSUPPORTED, line)


@pytest.mark.slow
def test_a_broker_that_falls_silent_is_left_after_two_keepalives(bench):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00")
        await reader.read()

    server = bench.serve(serve)
    link = bench.up(bench.link("x", server.url, keepalive_s=1))
    assert bench.until(lambda: link.reasons, timeout_s=10)
    assert link.reasons[0] == f"{LOCALHOST}:{server.port}: the broker does not answer pings"
    assert link.metrics.failures[Reason.SILENT] == 1
