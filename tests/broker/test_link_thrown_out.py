"""Connections that the broker ends: why, as far as it says, and at what pace a link comes back."""

import logging
import random

import pytest

from becomingone.broker.backoff import Backoff
from becomingone.broker.diagnosis import SHORT_LIVED, Diagnosis
from becomingone.broker.reasons import ConnectionFailedError, Reason
from becomingone.broker.settings import BrokerSettings

from .bench import LOCALHOST, Mosquitto, read_packet


def logged(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_two_clients_of_one_identifier_do_not_fight_in_a_tight_loop(bench, tmp_path, caplog, protocol):
    """Mosquitto 2.0.11 just closes the older one's connection, in MQTT 5 too; all that is known is that it repeats."""
    with Mosquitto(tmp_path) as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        twins = [bench.link("twin", url, protocol=protocol) for _ in range(2)]
        for twin in twins:
            twin.start()
        begun = bench.loop.time()
        assert bench.until(lambda: all(Reason.UNSTABLE in twin.metrics.failures for twin in twins), timeout_s=60)
        assert bench.until(lambda: sum(len(twin.reasons) for twin in twins) >= 12, timeout_s=60)
        took = bench.loop.time() - begun
        broke = f"{LOCALHOST}:{broker.port}: the connection broke"
        suspicion = f"{broke}, again and again, soon after it was accepted; does another client call itself twin?"
        for twin in twins:
            assert twin.reasons[: SHORT_LIVED - 1] == [broke] * (SHORT_LIVED - 1)
            assert twin.reasons[SHORT_LIVED - 1] == suspicion
            assert twin._backoff.failures >= SHORT_LIVED  # it goes on growing, though each did connect
        assert took > 0.05  # so many waits, each twice as long as the one before, lie behind it
        told = [text for text in logged(caplog) if text != "broker: connected"]
        assert sorted(told) == sorted(2 * [f"broker: {line}; trying again" for line in (broke, suspicion)])


def test_a_broker_of_mqtt_5_that_says_who_took_over_is_believed_at_once(bench):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00" + b"\xe0\x02\x8e\x00")  # CONNACK, DISCONNECT: session taken over

    server = bench.serve(serve)
    link = bench.link("twin", server.url)
    link.start()
    assert bench.until(lambda: len(link.reasons) >= 4)
    text = "the broker ended the connection: Session taken over; does another client call itself twin?"
    assert set(link.reasons) == {f"{LOCALHOST}:{server.port}: {text}"}
    assert set(link.metrics.failures) == {Reason.TAKEN_OVER}


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (0x8B, Reason.SHUTDOWN, "Server shutting down"),
        (0x8D, Reason.SILENT, "Keep alive timeout"),
        (0x95, Reason.TOO_LARGE, "Packet too large"),
        (0x98, Reason.ENDED, "Administrative action"),
    ],
)
def test_a_broker_of_mqtt_5_says_why_it_ends_a_connection_even_in_the_middle_of_what_it_is_sent(
    bench, code, reason, text
):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00")
        await read_packet(reader)
        writer.write(bytes((0xE0, 2, code, 0)))
        await writer.drain()

    server = bench.serve(serve)
    link = bench.up(bench.link("x", server.url))
    for _ in range(20):
        link.publish("t", bytes(100_000))
    assert bench.until(lambda: link.reasons)
    assert link.reasons[0] == f"{LOCALHOST}:{server.port}: the broker ended the connection: {text}"
    assert link.metrics.failures[reason] == 1


def test_a_broker_that_comes_and_goes_is_no_sign_of_a_twin():
    diagnosis = Diagnosis("x", BrokerSettings())
    broke = ConnectionFailedError(Reason.BROKEN, "the connection broke")
    for _ in range(2 * SHORT_LIVED):
        assert diagnosis.of_end(broke, 1_000, None, 0) is broke
        diagnosis.unreached()
    reasons = [diagnosis.of_end(broke, 1_000, None, 0).reason for _ in range(SHORT_LIVED)]
    assert reasons == [Reason.BROKEN] * (SHORT_LIVED - 1) + [Reason.UNSTABLE]


def test_the_pace_starts_over_only_when_a_connection_has_held():
    backoff = Backoff(random.Random(1))
    for _ in range(6):
        backoff.next_ns()
    assert not backoff.held(1_900_000_000)
    assert backoff.failures == 6
    assert backoff.held(2_000_000_000)
    assert backoff.failures == 0
