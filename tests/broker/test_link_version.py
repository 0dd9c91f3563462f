"""Which version of MQTT a link speaks to a broker of which it knows nothing."""

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from becomingone.broker.reasons import Reason
from becomingone.broker.version import VersionChoice

from .bench import Bench, Mosquitto, read_packet

FIVE, THREE = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311


def test_a_broker_that_refuses_5_is_remembered():
    choice = VersionChoice("auto")
    assert (choice.next, choice.guess) == (FIVE, True)
    assert choice.refused(Reason.VERSION)
    assert (choice.next, choice.guess) == (THREE, False)
    choice.accepted()
    choice.unreached()
    assert choice.next is THREE


def test_a_connection_that_just_ended_says_nothing_for_sure():
    choice = VersionChoice("auto")
    for known in (False, True):
        assert choice.refused(Reason.BROKEN)
        assert choice.next is THREE
        choice.accepted()
        assert (choice.next is THREE) is known


def test_a_broker_that_was_being_stopped_is_asked_in_5_again():
    choice = VersionChoice("auto")
    for happens in (choice.unreached, lambda: choice.refused(Reason.BROKEN), lambda: choice.refused(Reason.SILENT)):
        assert choice.refused(Reason.BROKEN)
        happens()
        assert choice.next is FIVE


@pytest.mark.parametrize("reason", [Reason.CREDENTIALS, Reason.UNAVAILABLE, Reason.CLIENT_ID])
def test_other_refusals_have_nothing_to_do_with_it(reason):
    choice = VersionChoice("auto")
    assert not choice.refused(reason)
    assert choice.next is FIVE


@pytest.mark.parametrize(("protocol", "version"), [("5", FIVE), ("3.1.1", THREE)])
def test_what_is_configured_is_what_is_spoken(protocol, version):
    choice = VersionChoice(protocol)
    assert not choice.guess
    for reason in (Reason.VERSION, Reason.BROKEN, Reason.SILENT):
        assert not choice.refused(reason)
        assert choice.next is version


def old_broker(levels, refuse):
    """A broker of MQTT 3.1.1 only, which treats others as `refuse` says."""

    async def serve(reader, writer):
        _, body = await read_packet(reader)
        levels.append(body[6])
        if body[6] == 4:
            writer.write(b"\x20\x02\x00\x00")
            await reader.read()
        else:
            await refuse(reader, writer)

    return serve


async def say_so(_reader, writer):
    writer.write(b"\x20\x02\x00\x01")  # MQTT 3.1.1, 3.2.2.3: unacceptable protocol version


async def hang_up(_reader, writer):
    writer.transport.abort()


async def say_nothing(reader, _writer):
    await reader.read()


@pytest.mark.parametrize("refuse", [say_so, hang_up, say_nothing])
def test_an_old_broker_is_spoken_to_in_its_version_without_a_failure(refuse, mocker):
    mocker.patch("becomingone.broker.paho.FIVE_TIMEOUT_S", 0.1)
    levels = []
    with Bench() as bench:
        server = bench.serve(old_broker(levels, refuse))
        link = bench.up(bench.link("new", server.url))
        assert levels == [5, 4]
        assert link.reasons == []
        assert (link.metrics.attempts, link.metrics.connects, dict(link.metrics.failures)) == (2, 1, {})
        for _ in range(2):
            link._connection.transport.shutdown(2)
            assert bench.until(lambda: not link.connected)
            assert bench.until(lambda: link.connected)
    if refuse is hang_up:  # once more in 5: it might have been stopped just then
        assert levels == [5, 4, 5, 4, 4]
    else:
        assert levels == [5, 4, 4, 4]


def test_a_broker_of_another_version_than_the_configured_one_is_told_and_not_hammered():
    levels = []
    with Bench() as bench:
        server = bench.serve(old_broker(levels, say_so))
        link = bench.link("stubborn", server.url, protocol="5")
        link.start()
        assert bench.until(lambda: len(link.reasons) >= 3)
        assert set(levels) == {5}
    text = "the broker refused the connection: Unsupported protocol version; broker.protocol is 5"
    assert link.reasons[0] == f"127.0.0.1:{server.port}: {text}"
    assert set(link.metrics.failures) == {Reason.VERSION}


@pytest.mark.mosquitto
def test_mosquitto_is_spoken_to_in_5_at_the_first_attempt(tmp_path):
    with Mosquitto(tmp_path) as broker, Bench() as bench:
        link = bench.up(bench.link("new", f"mqtt://localhost:{broker.port}"))
        assert "as new (p5," in broker.log
        assert link.metrics.attempts == 1
