"""The broker benchmark runs, with Mosquitto and without; never how fast."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from becomingone.bench import broker, broker_hosts, broker_traffic
from becomingone.errors import LinkError

LITTLE = broker.Effort(
    rounds=2,
    messages={(name, qos): 60 for name in get_args(broker.Broker) for qos in broker.QUALITIES},
    trips=5,
    connections=2,
)


def test_without_mosquitto_the_embedded_broker_is_measured_alone_and_every_row_says_so() -> None:
    report = broker.run(LITTLE, find=lambda _program: None)
    assert len(report.rows) == 4
    for row in report.rows:
        assert broker.MISSING in row.bench
        assert row.baseline is None
        assert row.ratio is None
        assert row.ours > 0
    bounded = [row for row in report.rows if row.target != "reported"]
    assert [row.bench.split(" (")[0] for row in bounded] == ["our link, QoS 0"]
    assert f"{broker.ENOUGH:g}" in bounded[0].target
    assert bounded[0].ok == (bounded[0].ours >= broker.ENOUGH)


@pytest.mark.mosquitto
def test_both_are_measured_in_the_same_rounds() -> None:
    report = broker.run(LITTLE)
    assert [row.unit for row in report.rows] == ["msg/s"] * 4 + ["ms"] * 2
    for row in report.rows:
        assert row.baseline is not None
        assert row.ratio is not None
        assert min(row.baseline, row.ours, row.ratio) > 0
    trips = report.rows[4]
    assert trips.more["p99 of embedded"] >= trips.ours
    assert trips.more["p99 of mosquitto"] >= (trips.baseline or 0)


def test_a_mosquitto_that_does_not_start_is_told_with_what_it_said(tmp_path: Path) -> None:
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho 'Error: out of pigeons'\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(LinkError, match="out of pigeons"), broker_hosts.mosquitto(str(program)):
        pass


@pytest.mark.mosquitto
def test_a_message_that_does_not_arrive_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_traffic, "TIMEOUT_S", 1.0)
    program, listener = broker_hosts.find("mosquitto"), broker_hosts.find("mosquitto_sub")
    assert program is not None
    assert listener is not None
    mute = broker_traffic.Clients(pub="/bin/true", sub=listener)
    with broker_hosts.mosquitto(program) as port, pytest.raises(LinkError, match="3 messages of QoS 0"):
        broker_traffic.c_rate(mute, port, 0, 3)


def test_a_broker_that_swallows_everything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_traffic, "TIMEOUT_S", 0.2)
    with pytest.raises(LinkError, match="our links"):
        broker._run(asyncio.sleep(30))
