"""What Mosquitto says becomes lines of our log, with levels, and not a flood."""

from __future__ import annotations

import logging

import pytest

from becomingone.broker.mosquitto.log import AGAIN_NS, MOST_KINDS, BrokerLog
from becomingone.sim.clock import VirtualScheduler

# Lines as 2.0.11, 2.0.21 and 2.1.2 wrote them here.
LINES = [
    ("mosquitto version 2.0.11 running", logging.INFO),
    ("New client connected from 127.0.0.1:43210 as kitchen (p5, c1, k10, u'kitchen').", logging.INFO),
    ("Client kitchen disconnected.", logging.INFO),
    ("New connection from 127.0.0.1:43210 on port 8883.", logging.DEBUG),
    ("Saving in-memory database to /var/lib/becomingone/home/broker//mosquitto.db.", logging.DEBUG),
    ("sqlite: Restored 0 clients (0 failed)", logging.DEBUG),
    ("Warning: Mosquitto should not be run as root/administrator.", logging.WARNING),
    ("Client <unknown> disconnected, not authorised.", logging.WARNING),
    ("Client hub [127.0.0.1:34562] disconnected: not authorised.", logging.WARNING),
    ("Client kitchen has exceeded timeout, disconnecting.", logging.WARNING),
    ("Client kitchen already connected, closing old connection.", logging.WARNING),
    ("OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed", logging.WARNING),
    ("Bad socket read/write on client hub: Invalid arguments provided.", logging.WARNING),
    ("Client auto-1 disconnected due to protocol error.", logging.WARNING),
    ("Error: Address already in use", logging.ERROR),
    ('Error: Unable to load server certificate "/x". Check certfile.', logging.ERROR),
]


@pytest.fixture
def clock() -> VirtualScheduler:
    return VirtualScheduler()


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize(("line", "level"), LINES)
def test_a_line_has_the_level_that_it_deserves(line: str, level: int, clock, heard) -> None:
    BrokerLog(clock).take(f"1795276865: {line}\n")
    assert [(record.levelno, record.getMessage()) for record in heard.records] == [(level, line)]


def test_it_knows_when_the_broker_is_up(clock) -> None:
    log = BrokerLog(clock)
    for line in ("Info: running mosquitto as user: root.", "mosquitto version 2.1.2 starting"):
        log.take(line)
        assert not log.running
    log.take("mosquitto version 2.1.2 running")
    assert log.running
    log.begin()
    assert not log.running


def test_the_same_warning_is_told_once_a_minute_with_its_number(clock, heard) -> None:
    log = BrokerLog(clock)
    for port in range(40_000, 40_500):
        log.take(f"Client 10.0.0.7 [10.0.0.7:{port}] disconnected: not authorised.")
    assert len(heard.records) == 1
    assert log.warnings == 500
    clock.run_for(AGAIN_NS / 1e9)
    log.take("Client 10.0.0.7 [10.0.0.7:41000] disconnected: not authorised.")
    log.take("Client 10.0.0.8 [10.0.0.8:41000] disconnected: not authorised.")  # somebody else
    assert [record.getMessage() for record in heard.records[1:]] == [
        "Client 10.0.0.7 [10.0.0.7:41000] disconnected: not authorised. (499 more like it since)",
        "Client 10.0.0.8 [10.0.0.8:41000] disconnected: not authorised.",
    ]


def test_it_remembers_only_so_many_kinds(clock) -> None:
    log = BrokerLog(clock)
    for number in range(3 * MOST_KINDS):
        log.take(f"Client stranger{number} disconnected, not authorised.")
    assert len(log._told) == MOST_KINDS


def test_why_it_ended_is_its_errors_or_else_its_last_words(clock) -> None:
    log = BrokerLog(clock)
    assert log.why() == "it said nothing"
    for line in ("one", "two", "three", "four"):
        log.take(line)
    assert log.why() == "two; three; four"
    log.take("Error: the disk is full")
    log.take("Error: the disk is full")
    log.take("mosquitto version 2.0.11 terminating")
    assert log.why() == "the disk is full"


def test_control_characters_and_line_breaks_do_not_reach_the_log(clock, heard) -> None:
    BrokerLog(clock).take("Client a\tb\x0b\r c connected\n")
    assert heard.records[0].getMessage() == "Client a b c connected"
