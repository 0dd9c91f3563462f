"""Sessions that the broker keeps, and what only MQTT 5 can say, over a real link."""

import struct

import pytest

from .bench import LOCALHOST, Mosquitto, read_packet

ACCEPT = b"\x20\x03\x00\x00\x00"
RESUMED = b"\x20\x03\x01\x00\x00"


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


# -- sessions ------------------------------------------------------------------------------------------------------


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_kept_session_brings_what_came_while_the_link_was_away(bench, url, protocol):
    first, _ = bench.listener("sleeper", url, "t/#", session_s=60, protocol=protocol)
    close(bench, first)
    speaker = bench.up(bench.link("speaker", url))
    told = []
    for number in range(50):
        speaker.publish(f"t/{number}", b"%d" % number, qos=1, settled=told.append)
    assert bench.until(lambda: told == [True] * 50)
    _, heard = bench.listener("sleeper", url, "t/#", session_s=60, protocol=protocol)
    assert bench.until(lambda: len(heard) >= 50)
    assert [message.payload for message in heard] == [b"%d" % number for number in range(50)]


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_clean_session_forgets(bench, url, protocol):
    first, _ = bench.listener("sleeper", url, "t", protocol=protocol)
    close(bench, first)
    speaker = bench.up(bench.link("speaker", url))
    told = []
    speaker.publish("t", b"meanwhile", qos=1, settled=told.append)
    assert bench.until(lambda: told)
    _, heard = bench.listener("sleeper", url, "t", protocol=protocol)
    speaker.publish("t", b"now", qos=1)
    assert bench.until(lambda: heard)
    assert [message.payload for message in heard] == [b"now"]


@pytest.mark.mosquitto
@pytest.mark.slow
def test_a_session_expires_when_mqtt_5_says(bench, url, broker):
    first, _ = bench.listener("sleeper", url, "t", session_s=1)
    close(bench, first)
    assert bench.until(lambda: "Expiring client sleeper due to timeout" in broker.log, timeout_s=10)


@pytest.mark.mosquitto
@pytest.mark.parametrize("session_s", [0, 60])
def test_subscriptions_are_there_again_after_the_broker_has_forgotten_everything(bench, url, broker, session_s):
    link, heard = bench.listener("x", url, "t", session_s=session_s)
    broker.kill()
    assert bench.until(lambda: not link.connected)
    broker.start()
    assert bench.until(lambda: link.connected)
    assert link.publish("t", b"!", qos=1)
    assert bench.until(lambda: heard)


@pytest.mark.mosquitto
def test_what_the_handlers_have_not_had_is_not_acknowledged_and_comes_again(bench, url):
    """A process that dies between receiving and handling loses nothing that a kept session holds."""
    first, _ = bench.listener("sleeper", url, "t", session_s=60)
    first._inbox._route = lambda _message: None  # it dies before
    speaker = bench.up(bench.link("speaker", url))
    assert speaker.publish("t", b"1", qos=1)
    assert bench.until(lambda: first._delivery._unhandled)
    first._connection.abandon()
    bench.links.remove(first)
    _, heard = bench.listener("sleeper", url, "t", session_s=60)
    assert bench.until(lambda: heard)
    assert [message.payload for message in heard] == [b"1"]


def publications(packets):
    """Take PUBLISH packets apart: duplicate, packet identifier, payload."""
    for first, body in packets:
        length = struct.unpack("!H", body[:2])[0]
        number = struct.unpack("!H", body[2 + length : 4 + length])[0]
        yield bool(first & 8), number, body[5 + length :]


@pytest.mark.parametrize("resumed", [True, False])
def test_a_session_that_is_still_there_gets_the_same_identifiers_marked_as_sent_before(bench, resumed):
    """MQTT 5, 4.4: in a session that the broker has lost, they are new messages."""
    got: list[list[tuple[int, bytes]]] = []

    async def serve(reader, writer):
        connect = (await read_packet(reader))[1]
        assert connect[7] & 2 == 0, "no clean start"
        writer.write(RESUMED if resumed and got else ACCEPT)
        got.append([])
        while True:
            packet = await read_packet(reader)
            if packet[0] == 0xE0:
                return
            got[-1].append(packet)

    link = bench.up(bench.link("x", bench.serve(serve).url, session_s=60))
    for number in range(3):
        assert link.publish("t", b"%d" % number, qos=1)
    assert bench.until(lambda: len(got[0]) == 3)
    cut(bench, link)
    assert bench.until(lambda: link.connected)
    link.publish("t", b"new", qos=1)
    assert bench.until(lambda: len(got[1]) == 4)
    assert list(publications(got[0])) == [(False, number + 1, b"%d" % number) for number in range(3)]
    again = list(publications(got[1]))
    assert [payload for _, _, payload in again] == [b"0", b"1", b"2", b"new"]
    assert [duplicate for duplicate, _, _ in again] == [resumed] * 3 + [False]
    if resumed:
        assert [number for _, number, _ in again[:3]] == [1, 2, 3]
    assert len({number for _, number, _ in again}) == 4
    assert link.metrics.resent == 3
