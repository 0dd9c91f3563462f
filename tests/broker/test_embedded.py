"""The embedded broker knows what it is not for, and says when it is outgrown."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable

import pytest

from becomingone.broker import outgrown
from becomingone.broker.embedded import EmbeddedBroker
from becomingone.broker.outgrown import LAG_S, LASTING, MESSAGES_PER_S, WAITING, Load, OutgrownWatch
from becomingone.broker.ports import free_port, port_is_free
from becomingone.errors import LinkError
from becomingone.sim.clock import VirtualScheduler

from .raw_mqtt import GoneError, RawClient

BAND = {"frequency_hz": 1.0, "tau_s": 1.0, "lag_s": 7.0, "coherence_tau_s": 40.0}
ABOUT = {
    "protocol": 1, "node": "kitchen", "hardware": "pi_4", "tau_s": [0.1, 1.0], "capability": 1.0, "interval_s": 1.0,
    "bands": {"stride": BAND}, "channels": [], "devices": [], "software": "x", "config_sha256": "x", "boot": 1,
    "pid": 1,
}  # fmt: skip


def about(role: str) -> bytes:
    return json.dumps({**ABOUT, "outputs": [{"name": "arm", "kind": "x", "role": role}]}).encode()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(LinkError, match=f"not on {host}: use Mosquitto"):
        EmbeddedBroker(host)


def test_it_takes_no_motor() -> None:
    with pytest.raises(LinkError, match=r"could drive the motor kitchen/arm, robot/leg: sudo apt install mosquitto"):
        EmbeddedBroker(motors=["kitchen/arm", "robot/leg"])


async def against(broker: EmbeddedBroker, attack: Callable[[int], None]) -> None:
    """Run blocking code against a broker that lives in this loop."""
    await broker.start()
    try:
        await asyncio.to_thread(attack, broker.port)
    finally:
        await broker.stop()


def gone(client: RawClient) -> bool:
    """Wait until the broker has ended a connection."""
    try:
        for _ in range(10_000):
            client.ping()
    except GoneError:
        return True
    return False


def test_it_ends_when_a_node_with_a_motor_comes(caplog: pytest.LogCaptureFixture) -> None:
    def attack(port: int) -> None:
        with RawClient(port) as listener, RawClient(port, client_id="node") as node:
            listener.subscribe("#")
            for role in ("display", "speaker"):
                node.publish("becomingone/home/node/kitchen/about", about(role), retain=True)
            node.publish("becomingone/home/node/kitchen/about", b'{"outputs": "motor"}')
            while len(listener.inbox) < 3:
                listener.ping()
            node.send("becomingone/home/node/kitchen/about", about("motor"), retain=True)
            assert gone(listener)
            assert len(listener.inbox) == 3  # nobody is told of it
        with pytest.raises(ConnectionRefusedError):
            RawClient(port)

    async def run() -> None:
        broker = EmbeddedBroker(port=0)
        await against(broker, attack)
        assert broker.broken.is_set()

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    told = [record.getMessage() for record in caplog.records if "motor" in record.getMessage()]
    assert len(told) == 1
    assert "the motor kitchen/arm: sudo apt install mosquitto" in told[0]


def test_its_load_is_counted() -> None:
    broker = EmbeddedBroker(port=0)
    loads: list[Load] = []

    def attack(port: int) -> None:
        with RawClient(port) as client:
            client.subscribe("a")
            for number in range(25):
                client.publish("a", b"%d" % number)
            while len(client.inbox) < 25:
                client.ping()
        assert broker._broker is not None
        loads.append(broker._broker.load)

    asyncio.run(against(broker, attack))
    assert loads[0].messages == 25


def test_what_it_holds_for_a_client_that_does_not_take_it_is_told(mocker) -> None:
    """A subscriber at QoS 1 that never acknowledges: each message waits for it in a task of its own."""
    mocker.patch.object(outgrown, "WAITING", 30)
    told: list[str] = []
    broker = EmbeddedBroker(port=0, tell=told.append)
    waiting: list[int] = []

    def attack(port: int) -> None:
        with RawClient(port, client_id="deaf") as deaf, RawClient(port, client_id="speaker") as speaker:
            deaf._send(b"\x82\x06\x00\x01\x00\x01a\x01")
            deaf._until(9)
            for _ in range(40):
                speaker.publish("a", b"!")
            speaker.ping()
            assert broker._broker is not None
            waiting.append(broker._broker.load.waiting)
            for _ in range(1000):  # the watch looks once a second
                if told:
                    break
                speaker.ping()
                time.sleep(0.01)

    asyncio.run(against(broker, attack))
    assert waiting[0] >= 39  # the last may still be on its way
    assert len(told) == 1
    assert "messages for clients that do not take them" in told[0]


class Late(VirtualScheduler):
    """A loop whose turns come late."""

    late_s = 0.0

    def call_at(self, when_ns: int, callback: Callable[[], None]):
        return super().call_at(when_ns + int(self.late_s * 1e9), callback)


class Watched:
    def __init__(self) -> None:
        self.clock = Late()
        self.messages = 0
        self.waiting = 0
        self.told: list[str] = []
        self.watch = OutgrownWatch(lambda: Load(self.messages, self.waiting), self.clock, self.told.append)

    def run(self, seconds: float, *, rate: float = 0.0) -> None:
        for _ in range(round(10 * seconds)):
            self.messages += round(rate / 10)
            self.clock.run_for(0.1)


def test_it_is_silent_while_it_can_do_its_work() -> None:
    watched = Watched()
    watched.clock.late_s = 0.9 * LAG_S
    watched.waiting = WAITING
    watched.run(60, rate=0.9 * MESSAGES_PER_S)
    assert watched.told == []


def test_a_short_burst_is_nothing() -> None:
    watched = Watched()
    for _ in range(10):
        watched.run(LASTING - 2, rate=3 * MESSAGES_PER_S)
        watched.run(3)
    assert watched.told == []


def test_too_many_messages_are_told_with_their_figure() -> None:
    watched = Watched()
    watched.run(LASTING + 2, rate=2_000)
    assert len(watched.told) == 1
    assert watched.told[0].startswith(
        "the embedded broker is outgrown: 2,000 messages a second for 5 s, above 1,000; use Mosquitto"
    )


def test_a_late_loop_is_told_with_its_figure() -> None:
    watched = Watched()
    watched.clock.late_s = 0.25
    watched.run(20)
    assert len(watched.told) == 1
    assert "250 ms late for 5 s, above 100" in watched.told[0]


def test_what_waits_is_told_at_once() -> None:
    watched = Watched()
    watched.waiting = 12_345
    watched.run(1.1)
    assert len(watched.told) == 1
    assert "holds 12,345 messages for clients that do not take them" in watched.told[0]


def test_it_is_told_at_most_once_an_hour() -> None:
    watched = Watched()
    watched.waiting = WAITING + 1
    watched.run(3500)
    assert len(watched.told) == 1
    watched.run(200)
    assert len(watched.told) == 2
    watched.watch.cancel()
    watched.run(4000)
    assert len(watched.told) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_free_ports_are_free(host: str) -> None:
    assert port_is_free(host, port := free_port(host))
    assert port_is_free(host, 0)
    assert 0 < port < 65_536
