"""A broker's figures about itself: read strictly, forgotten when the link goes down."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable

import pytest

from becomingone.broker.backoff import Backoff
from becomingone.broker.config import BrokerConfig
from becomingone.broker.link import Handler, Message
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.broker.sys_metrics import BASE, TOPICS, BrokerFigures, SysMetrics
from becomingone.scheduling import LoopScheduler

from .raw_mqtt import RawClient
from .standing import Standing, free, installed, program


class FakeLink:
    """Takes subscriptions, and gives messages to those who asked."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.down: list[Callable[[str], None]] = []

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: int = 0, optional: bool = False) -> None:
        assert optional
        self.handlers[topic_filter] = handler

    def on_down(self, callback: Callable[[str], None]) -> None:
        self.down.append(callback)

    def say(self, topic: str, payload: bytes) -> None:
        self.handlers[BASE + topic](Message(BASE + topic, payload, True))


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def metrics(link: FakeLink) -> SysMetrics:
    return SysMetrics(link)


def test_nothing_is_known_before_it_is_told(metrics: SysMetrics) -> None:
    assert metrics.figures == BrokerFigures()
    assert metrics.figures.as_json() == {}


@pytest.mark.parametrize(
    ("topic", "payload", "field", "value"),
    [
        ("version", b"mosquitto version 2.0.11", "version", "mosquitto version 2.0.11"),
        ("uptime", b"86400 seconds", "uptime_s", 86_400),
        ("clients/connected", b"12", "clients", 12),
        ("retained messages/count", b"57", "retained", 57),
        ("publish/messages/dropped", b"0", "dropped", 0),
        ("load/messages/received/1min", b"1234.56", "received_per_min", 1234.56),
        ("load/publish/dropped/1min", b"0.00", "dropped_per_min", 0.0),
        ("heap/current", b"33752", "heap_bytes", 33_752),
    ],
)
def test_a_figure_is_taken(link, metrics, topic: str, payload: bytes, field: str, value: object) -> None:
    link.say(topic, payload)
    assert metrics.figures.as_json() == {field: value}
    assert type(getattr(metrics.figures, field)) is type(value)
    assert not metrics.malformed


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("clients/connected", b""),
        ("clients/connected", b"-1"),
        ("clients/connected", b"1.5"),
        ("clients/connected", b" 1"),
        ("clients/connected", b"1\n"),
        ("clients/connected", b"9" * 19),
        ("clients/connected", "١".encode()),
        ("load/messages/received/1min", b"nan"),
        ("load/messages/received/1min", b"inf"),
        ("load/messages/received/1min", b"1e5"),
        ("load/messages/received/1min", b"1."),
        ("uptime", b"12"),
        ("uptime", b"12 seconds ago"),
        ("version", b"x" * 101),
        ("version", b"a\nb"),
        ("version", b"\xff"),
    ],
)
def test_what_is_no_figure_is_counted_and_changes_nothing(link, metrics, topic: str, payload: bytes) -> None:
    link.say("clients/connected", b"7")
    before = metrics.figures
    link.say(topic, payload)
    assert metrics.figures is before
    assert metrics.malformed == {topic: 1}


def test_every_field_has_its_topic() -> None:
    names = [name for name, _ in TOPICS.values()]
    assert sorted(names) == sorted(field.name for field in dataclasses.fields(BrokerFigures))


def test_a_broken_link_is_forgotten(link, metrics) -> None:
    link.say("clients/connected", b"7")
    link.down[0]("the connection broke")
    assert metrics.figures == BrokerFigures()


@pytest.mark.parametrize("mosquitto", installed())
def test_a_real_broker_tells_them(mosquitto, tmp_path) -> None:
    config = BrokerConfig.model_validate(
        {
            "listeners": [{"port": free()}], "sys_interval_s": 1, "persistence": {"enabled": False},
            "state_dir": tmp_path / "broker",
        }
    )  # fmt: skip

    async def run() -> SysMetrics:
        loop = asyncio.get_running_loop()
        link = PahoLink(
            "hub", None,
            settings=BrokerSettings(url=config.listeners[0].url),
            scheduler=LoopScheduler(loop),
            backoff=Backoff(random.Random(1)),
        )  # fmt: skip
        metrics = SysMetrics(link)
        link.start()
        async with asyncio.timeout(10):
            while (metrics.figures.received or 0) < 5 or metrics.figures.clients != 2:
                await asyncio.sleep(0.02)
        closed = asyncio.Event()
        link.close(closed.set)
        await closed.wait()
        return metrics

    with Standing(config, program(mosquitto)), RawClient(config.listeners[0].port) as speaker:
        for _ in range(5):
            speaker.publish("r", b"!", retain=True)
        metrics = asyncio.run(run())
    known = metrics.figures.as_json()
    assert not metrics.malformed
    assert set(known) >= {"version", "uptime_s", "clients", "received", "sent", "published", "dropped", "retained"}
    assert known["version"].startswith("mosquitto version 2.")
