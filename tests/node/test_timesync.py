"""How a node asks for the time: when, how often, what it takes for an answer, and what it does without one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from becomingone.broker.link import Handler, Message
from becomingone.node.timesync import BURST, PROBES_PER_S, SLOW_S, TimeSync
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.host import HostClock, Process
from becomingone.wire.clock import ClockPing, ClockPong, decode_ping, encode_pong
from becomingone.wire.seal import seal
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")
PONG = TOPICS.clock_pong("n")
KEY = bytes(range(32))
MS = 1_000_000
BOOT = 7


@dataclass
class FakeLink:
    """A link whose other end is the test."""

    scheduler: VirtualScheduler
    connected: bool = False
    full: bool = False
    sent: list[tuple[float, str, bytes]] = field(default_factory=list[Any])
    hear: Callable[[bytes], None] = lambda _payload: None
    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    _up: list[Callable[[], None]] = field(default_factory=list[Any])
    _down: list[Callable[[str], None]] = field(default_factory=list[Any])

    def subscribe(self, topic_filter: str, handler: Handler, **_options: Any) -> None:
        self.handlers[topic_filter] = handler

    def on_up(self, callback: Callable[[], None]) -> None:
        self._up.append(callback)

    def on_down(self, callback: Callable[[str], None]) -> None:
        self._down.append(callback)

    def publish(self, topic: str, payload: bytes, **_options: Any) -> bool:
        if self.connected and not self.full:
            self.sent.append((self.scheduler.monotonic_ns() / NANOSECONDS, topic, payload))
            self.hear(payload)
        return self.connected and not self.full

    def up(self) -> None:
        self.connected = True
        for callback in self._up:
            callback()

    def down(self) -> None:
        self.connected = False
        for callback in self._down:
            callback("the broker went away")


class Rig:
    """A node whose clock is off, and a hub that answers as the test says."""

    def __init__(
        self, *, key: bytes | None = None, offset_s: float = 3600.0, drift_ppm: float = 40.0, seed: int = 1
    ) -> None:
        self.scheduler = VirtualScheduler()
        self.machine = HostClock(self.scheduler, offset_s=offset_s, drift_ppm=drift_ppm)
        self.process = Process(self.scheduler, self.machine)
        self.clock = MeshClock(self.process, 0.01)
        self.link = FakeLink(self.scheduler)
        self.key = key
        self.trust = Trust(key, BOOT)
        self.sync = TimeSync(
            "n",
            link=self.link,  # type: ignore[arg-type]
            topics=TOPICS,
            trust=self.trust,
            clock=self.clock,
            scheduler=self.process,
            boot=BOOT,
            rng=random.Random(seed),
        )
        self.answers = True
        self.hub_boot = 1
        self.hub_ahead_ns = 0
        self.sigma_s = 0.0
        self._random = random.Random(seed + 1)
        self.link.hear = self._ping

    def true_ns(self) -> int:
        return self.scheduler.time_us() // 10**6 * 10**9 + self.scheduler.monotonic_ns() % 10**9

    def _way_ns(self) -> int:
        return MS + round(self._random.expovariate(1.0) * 0.2 * MS)

    def _after(self, delay_ns: int, then: Callable[[], None]) -> None:
        self.scheduler.call_at(self.scheduler.monotonic_ns() + delay_ns, then)

    def _ping(self, payload: bytes) -> None:
        if self.answers:
            self._after(self._way_ns(), lambda: self._answer(decode_ping(payload)))

    def pong(self, ping: ClockPing, **changed: Any) -> bytes:
        now_ns = self.true_ns() + self.hub_ahead_ns
        fields = {"boot": ping.boot, "seq": ping.seq, "t1_ns": ping.t1_ns, "t2_ns": now_ns, "t3_ns": now_ns}
        fields |= {"hub_boot": self.hub_boot, "sigma_s": self.sigma_s, **changed}
        payload = encode_pong(ClockPong(**fields))
        return payload if self.key is None else seal(self.key, PONG, payload, BOOT)

    def _answer(self, ping: ClockPing) -> None:
        payload = self.pong(ping)
        self._after(self._way_ns(), lambda: self.say(payload))

    def say(self, payload: bytes) -> None:
        self.link.handlers[PONG](Message(PONG, payload))

    def start(self) -> Rig:
        self.sync.start()
        self.link.up()
        return self

    def run(self, seconds: float) -> Rig:
        self.scheduler.run_for(seconds)
        return self

    @property
    def error_s(self) -> float:
        here = self.clock.mesh_ns(self.clock.monotonic_ns())
        return (here - self.true_ns() - self.hub_ahead_ns) / NANOSECONDS

    @property
    def pings(self) -> list[float]:
        return [at for at, _, _ in self.link.sent]


# The pace


def test_mesh_time_is_known_within_a_second_of_the_link_being_up() -> None:
    rig = Rig().start()
    assert (rig.sync.source, rig.clock.sigma_s) == ("system", 0.01)
    assert rig.error_s == pytest.approx(3600.0)
    rig.run(1.0)
    assert rig.sync.source == "hub"
    assert abs(rig.error_s) < 1e-3
    assert rig.clock.sigma_s < 1e-3
    assert rig.sync.offset_s == pytest.approx(-3600.0, abs=0.01)
    assert rig.clock.steps == 0


def test_the_pace_is_fast_at_first_and_slow_then() -> None:
    rig = Rig().start().run(120.0)
    bursts = rig.pings[::BURST]
    assert sum(at < 8.0 for at in bursts) >= 4
    late = [after - before for before, after in pairwise(bursts) if before > 30.0]
    assert all(0.7 * SLOW_S < pause < 1.4 * SLOW_S for pause in late)
    assert len({round(pause, 3) for pause in late}) == len(late)  # at random
    assert rig.sync.bursts in (len(bursts), len(bursts) - 1)
    assert rig.sync.lost == 0
    assert not rig.sync.refused


def test_one_probe_is_under_way_at_a_time() -> None:
    rig = Rig()
    rig.answers = False
    rig.start().run(0.9)
    assert len(rig.pings) == 1
    rig.run(1.0)
    assert len(rig.pings) == 2


def test_a_thousand_nodes_do_not_ask_all_at_once() -> None:
    firsts: list[float] = []
    rate = 0.0
    for seed in range(40):
        rig = Rig(seed=seed)
        rig.sync.set_cell_size(1000)
        rig.start().run(300.0)
        firsts.append(rig.pings[0])
        rate += sum(at > 150.0 for at in rig.pings) / 150.0 / 40
    assert max(firsts) < 1.0
    assert max(firsts) - min(firsts) > 0.5
    assert 1000 * rate < 1.3 * PROBES_PER_S


def test_the_error_stays_small_and_is_told_over_ten_minutes() -> None:
    rig = Rig(drift_ppm=-50.0).start().run(20.0)
    within = 0
    for _ in range(580):
        rig.run(1.0)
        assert abs(rig.error_s) < 1e-4
        within += abs(rig.error_s) <= 2.0 * rig.clock.sigma_s
    assert within > 0.9 * 580
    assert rig.clock.steps == 0


# What is no answer


def refused_after(rig: Rig, payload: bytes) -> dict[str, int]:
    rig.say(payload)
    return dict(rig.sync.refused)


@pytest.mark.parametrize("changed", [{"seq": 1}, {"t1_ns": 1}, {"boot": BOOT - 1}, {"boot": BOOT + 1}])
def test_a_pong_that_answers_no_ping_of_this_boot_is_refused_and_counted(changed: dict[str, int]) -> None:
    rig = Rig()
    rig.answers = False
    rig.start().run(0.5)
    asked = decode_ping(rig.link.sent[0][2])
    assert refused_after(rig, rig.pong(asked, **changed)) == {"unasked": 1}
    rig.say(rig.pong(asked))  # the right one is still waited for
    assert dict(rig.sync.refused) == {"unasked": 1}
    assert refused_after(rig, rig.pong(asked)) == {"unasked": 2}  # and taken once


def test_a_pong_that_comes_too_late_is_refused() -> None:
    rig = Rig()
    rig.answers = False
    rig.start().run(0.2)
    asked = decode_ping(rig.link.sent[0][2])
    rig.run(1.0)
    assert (rig.sync.lost, refused_after(rig, rig.pong(asked))) == (1, {"unasked": 1})


def test_a_pong_that_nobody_asked_for_is_refused() -> None:
    rig = Rig()
    rig.sync.start()
    assert refused_after(rig, rig.pong(ClockPing(boot=BOOT, seq=0, t1_ns=0))) == {"unasked": 1}


def test_bytes_that_are_no_pong_are_refused_and_counted() -> None:
    rig = Rig().start().run(5.0)
    for payload in (b"", b"\xff" * 50, bytes(range(256)), b"\xa0", bytes(2_000_000)):
        rig.say(payload)
    assert rig.sync.refused.total() == 5
    assert abs(rig.run(20.0).error_s) < 1e-4


def test_times_that_cannot_be_are_refused() -> None:
    rig = Rig()
    rig.answers = False
    rig.start().run(0.2)
    asked = decode_ping(rig.link.sent[0][2])
    true_ns = rig.true_ns()
    assert refused_after(rig, rig.pong(asked, t2_ns=true_ns, t3_ns=true_ns + NANOSECONDS)) == {"impossible": 1}
    assert rig.sync.source == "system"


def test_in_a_provisioned_cell_the_hub_alone_is_believed() -> None:
    rig = Rig(key=KEY)
    rig.answers = False
    rig.start().run(0.2)
    asked = decode_ping(rig.link.sent[0][2])
    rig.key = None
    assert refused_after(rig, rig.pong(asked)) == {"unsealed": 1}
    rig.key = bytes(32)
    assert refused_after(rig, rig.pong(asked)) == {"unsealed": 1, "forged": 1}
    rig.key, rig.answers = KEY, True
    assert abs(rig.run(10.0).error_s) < 1e-3
    assert rig.sync.source == "hub"


# Without an answer, without a link


def test_a_hub_that_is_not_there_is_asked_ever_less_often_and_found_when_it_comes() -> None:
    rig = Rig()
    rig.answers = False
    rig.start().run(600.0)
    assert 100 < len(rig.pings) < 160  # two to a burst, a burst every 10 s
    assert rig.sync.lost in (len(rig.pings), len(rig.pings) - 1)
    rig.answers = True
    rig.run(1.3 * SLOW_S + 1.0)
    assert abs(rig.error_s) < 1e-3


def test_a_pong_that_is_lost_now_and_then_costs_nothing_but_itself() -> None:
    rig = Rig()
    hear, drop = rig.link.hear, random.Random(3)
    rig.link.hear = lambda payload: hear(payload) if drop.random() < 0.8 else None
    rig.start().run(120.0)
    assert rig.sync.lost > 10
    assert abs(rig.error_s) < 1e-4


def test_a_link_that_goes_down_is_waited_for_and_mesh_time_goes_on() -> None:
    rig = Rig().start().run(60.0)
    rig.link.down()
    asked = len(rig.pings)
    sigma_s = rig.clock.sigma_s
    rig.run(600.0)
    assert len(rig.pings) == asked
    assert abs(rig.error_s) < 1e-2
    assert rig.clock.sigma_s > 10 * sigma_s
    assert abs(rig.error_s) < 3 * rig.clock.sigma_s
    rig.link.up()
    rig.run(SLOW_S + 2.0)
    assert len(rig.pings) > asked
    assert abs(rig.error_s) < 1e-3
    assert rig.clock.steps == 0


def test_a_link_whose_queue_is_full_ends_nothing() -> None:
    rig = Rig().start().run(20.0)
    rig.link.full = True
    rig.run(30.0)
    rig.link.full = False
    bursts = rig.sync.bursts
    rig.run(30.0)
    assert rig.sync.bursts > bursts


def test_a_link_that_is_up_already_is_used() -> None:
    rig = Rig()
    rig.link.up()
    rig.sync.start()
    assert rig.run(1.0).sync.source == "hub"


def test_a_closed_one_is_silent() -> None:
    rig = Rig().start().run(5.0)
    rig.sync.close()
    asked = len(rig.pings)
    rig.run(60.0)
    rig.link.down()
    rig.link.up()
    rig.run(60.0)
    assert len(rig.pings) == asked
    assert not rig.sync.refused


# Clocks and hubs that change


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_step_of_this_machine_s_clock_changes_nothing(by_s: float) -> None:
    rig = Rig().start().run(60.0)
    before_s = rig.error_s
    rig.machine.step(by_s)
    assert rig.error_s == before_s
    for _ in range(60):
        assert abs(rig.run(1.0).error_s) < 1e-4
    assert rig.clock.steps == 0
    assert rig.sync.offset_s == pytest.approx(-3600.0 - by_s, abs=0.02)


def test_another_hub_s_time_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig().start().run(60.0)
    rig.hub_boot, rig.hub_ahead_ns = 2, -1800 * NANOSECONDS
    rig.run(20.0)
    assert abs(rig.error_s) < 1e-3
    assert rig.clock.steps == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "stepped by -1" in caplog.text


def test_another_life_of_a_hub_that_kept_its_time_moves_nothing_by_a_jump() -> None:
    rig = Rig().start().run(60.0)
    rig.hub_boot = 2
    for _ in range(400):
        before_ns, at_ns = rig.clock.mesh_ns(rig.clock.monotonic_ns()), rig.clock.monotonic_ns()
        rig.run(0.1)
        passed_ns = rig.clock.mesh_ns(rig.clock.monotonic_ns()) - before_ns
        assert abs(passed_ns - (rig.clock.monotonic_ns() - at_ns)) < 0.1 * NANOSECONDS * 6e-4
        assert abs(rig.error_s) < 1e-3
    assert rig.clock.steps == 0


def test_the_hub_s_uncertainty_is_told_as_the_node_s() -> None:
    rig = Rig()
    rig.sigma_s = 0.25
    rig.start().run(10.0)
    assert rig.clock.sigma_s == pytest.approx(0.25, rel=0.01)


def test_the_same_seed_does_the_same_again() -> None:
    one, other = (Rig().start().run(100.0) for _ in range(2))
    assert one.link.sent == other.link.sent
    assert one.error_s == other.error_s


@pytest.mark.parametrize("drift_ppm", [-5000.0, 5000.0])
def test_an_oscillator_that_no_machine_should_have_is_followed_without_a_step(drift_ppm: float) -> None:
    rig = Rig(drift_ppm=drift_ppm).start().run(30.0)
    for _ in range(60):
        assert abs(rig.run(1.0).error_s) < 1e-3
    assert rig.clock.steps == 0
