"""The hub answers pings: with which times, sealed for whom, and how little a flood can make it do."""

from __future__ import annotations

from typing import Any

import pytest

from becomingone.broker.link import Handler, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub import clock_server
from becomingone.hub.clock_server import IDLE_NS, PINGS_AT_ONCE, PINGS_PER_S, ClockServer
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock
from becomingone.sim.bench import Bench
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.clock import ClockPing, ClockPong, decode_pong, encode_ping
from becomingone.wire.replay import Start
from becomingone.wire.seal import node_key, open_sealed, seal

from .parts import NOW_US, TOPICS

SECRET = bytes(range(32))


class Server:
    """A clock server, a link that keeps what is sent, and what is refused."""

    def __init__(self, trust: Trust | None = None) -> None:
        self.scheduler = VirtualScheduler(NOW_US)
        self.sent: list[tuple[str, bytes]] = []
        self.refused: list[str] = []
        self.handler: Handler = lambda _message: None
        self.connected = True
        self.server = ClockServer(
            TOPICS,
            5,
            link=self,  # type: ignore[arg-type]
            clock=MeshClock(self.scheduler, 0.001),
            trust=trust or Trust(),
            refuse=self._refuse,
        )
        self.server.start()

    def _refuse(self, _message: Message, error: FrameError | TopicError) -> None:
        self.refused.append(error.reason if isinstance(error, FrameError) else "topic")

    def subscribe(self, topic_filter: str, handler: Handler, **_options: Any) -> None:
        assert topic_filter == "becomingone/home/clock/ping/+"
        self.handler = handler

    def publish(self, topic: str, payload: bytes) -> bool:
        if self.connected:
            self.sent.append((topic, payload))
        return self.connected

    def ask(self, node: str = "n", payload: bytes | None = None, **message: Any) -> None:
        given = encode_ping(ClockPing(boot=3, seq=9, t1_ns=77)) if payload is None else payload
        self.handler(Message(TOPICS.clock_ping(node), given, **message))

    @property
    def pongs(self) -> list[ClockPong]:
        return [decode_pong(payload) for _, payload in self.sent]


def test_a_ping_is_answered_with_mesh_time() -> None:
    server = Server()
    server.scheduler.run_for(1.5)
    server.ask()
    assert server.sent[0][0] == "becomingone/home/clock/pong/n"
    assert server.pongs == [
        ClockPong(
            boot=3,
            seq=9,
            t1_ns=77,
            t2_ns=NOW_US * 1_000 + 1_500_000_000,
            t3_ns=NOW_US * 1_000 + 1_500_000_000,
            hub_boot=5,
            sigma_s=pytest.approx(0.001),
        )
    ]
    assert server.server.answered == 1
    assert not server.refused


def test_the_time_that_a_ping_waited_for_its_turn_is_told_apart() -> None:
    server = Server()
    server.scheduler.run_for(2.0)
    server.ask(arrived_ns=1_990_000_000)
    (pong,) = server.pongs
    assert pong.t3_ns - pong.t2_ns == 10_000_000
    assert pong.t2_ns == NOW_US * 1_000 + 1_990_000_000


def test_a_pong_that_could_not_be_sent_is_not_called_answered() -> None:
    server = Server()
    server.connected = False
    server.ask()
    assert server.server.answered == 0


@pytest.mark.parametrize(
    ("payload", "reason"), [(b"", "type"), (b"\xa0", "missing"), (b"\xff" * 20, "type"), (bytes(2_000_000), "oversize")]
)
def test_what_is_no_ping_is_refused(payload: bytes, reason: str) -> None:
    server = Server()
    server.ask(payload=payload)
    assert server.refused == [reason]
    assert not server.sent


def test_a_stored_ping_is_refused() -> None:
    server = Server()
    server.ask(retained=True)
    assert server.refused == ["retained"]


@pytest.mark.parametrize("topic", ["becomingone/home/clock/ping/UP", "becomingone/home/clock/ping", "other"])
def test_a_topic_that_names_no_node_is_refused(topic: str) -> None:
    server = Server()
    server.handler(Message(topic, encode_ping(ClockPing(boot=3, seq=9, t1_ns=77))))
    assert server.refused == ["topic"]


# Floods


def test_a_node_that_floods_is_answered_so_often_and_no_more_and_others_as_before() -> None:
    server = Server()
    for _ in range(1000):
        server.ask("loud")
        server.scheduler.run_for(0.001)
    answered = server.server.answered
    assert PINGS_AT_ONCE <= answered <= PINGS_AT_ONCE + PINGS_PER_S + 1
    assert server.refused == ["too_often"] * (1000 - answered)
    server.ask("quiet")
    assert server.server.answered == answered + 1


def test_any_number_of_names_takes_a_bounded_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_server, "MAX_CLIENTS", 10)
    server = Server()
    for number in range(50):
        server.ask(f"n{number}")
    assert server.server.answered == 10
    assert len(server.server._clients) == 10
    server.scheduler.run_for(IDLE_NS / NANOSECONDS / 2)
    server.ask("n0")
    server.scheduler.run_for(IDLE_NS / NANOSECONDS / 2 + 0.1)
    server.ask("n40")  # those that have been silent make room
    assert server.server.answered == 12
    assert len(server.server._clients) == 2


# In a provisioned cell


class SealedServer(Server):
    def __init__(self) -> None:
        super().__init__(Trust(SECRET, root="becomingone", cell="home", start=Start(NOW_US, 1.0)))

    def sealed(self, boot: int, *, epoch: int | None = None, node: str = "n") -> bytes:
        key = node_key(SECRET, "becomingone", "home", node)
        ping = encode_ping(ClockPing(boot=boot, seq=9, t1_ns=77))
        return seal(key, TOPICS.clock_ping("n"), ping, boot if epoch is None else epoch)


def test_a_sealed_ping_is_answered_sealed_for_that_life_of_the_node() -> None:
    server = SealedServer()
    server.ask(payload=server.sealed(3))
    topic, payload = server.sent[0]
    assert open_sealed(node_key(SECRET, "becomingone", "home", "n"), topic, payload, 3) == payload
    assert decode_pong(payload).seq == 9


def test_who_does_not_hold_the_key_is_not_answered_and_costs_the_node_nothing() -> None:
    server = SealedServer()
    for _ in range(200):
        server.ask(payload=server.sealed(3, node="m"))
    server.ask()
    assert server.refused == ["forged"] * 200 + ["unsealed"]
    server.ask(payload=server.sealed(3))
    assert server.server.answered == 1


def test_an_earlier_life_of_the_node_is_not_answered() -> None:
    server = SealedServer()
    server.ask(payload=server.sealed(4))
    server.ask(payload=server.sealed(3))
    server.ask(payload=server.sealed(3, epoch=4))
    assert server.refused == ["wrong_epoch", "boot"]
    assert server.server.answered == 1


# In the hub


def test_the_hub_counts_and_tells_what_it_refuses() -> None:
    bench = Bench(1)
    hub = bench.add_hub(HubConfig())
    link = bench.client("stranger")
    heard: list[Message] = []
    link.subscribe(TOPICS.clock_pong("n"), heard.append)
    link.start()
    bench.run_for(0.1)
    link.publish(TOPICS.clock_ping("n"), b"nonsense")
    link.publish(TOPICS.clock_ping("n"), encode_ping(ClockPing(boot=3, seq=1, t1_ns=77)))
    bench.run_for(0.1)
    assert hub.refused.total() == 1
    assert [decode_pong(message.payload).hub_boot for message in heard] == [1]
