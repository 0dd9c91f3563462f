"""A node's time against a hub in another process, over a real Mosquitto on this machine."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from tests.broker.fabrics import MosquittoFabric
from tests.cli.running import PROGRAM

from becomingone.broker.link import Message
from becomingone.node.timesync import TimeSync
from becomingone.node.trust import Trust
from becomingone.scheduling import LoopScheduler, MeshClock
from becomingone.wire.topics import Topics

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow]

TOPICS = Topics("becomingone", "home")
OFF_S = -5000.0


class WrongCalendar(LoopScheduler):
    """This machine, with a system clock that is more than an hour slow."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.off_s = OFF_S

    def time_us(self) -> int:
        return super().time_us() + round(self.off_s * 1e6)


def error_s(clock: MeshClock) -> float:
    """Give mesh time less the time of this machine, on which the hub lives too; the quickest of a few looks."""
    looks: list[tuple[int, int]] = []
    for _ in range(20):
        before = clock.monotonic_ns()
        true_ns = time.time_ns()
        after = clock.monotonic_ns()
        looks.append((after - before, clock.mesh_ns((before + after) // 2) - true_ns))
    return min(looks)[1] * 1e-9


def test_a_node_finds_the_time_of_a_hub_in_another_process(tmp_path: Path) -> None:
    fabric = MosquittoFabric()
    config = tmp_path / "hub.yaml"
    config.write_text(yaml.safe_dump({"broker": {"url": fabric.url}, "state_dir": str(tmp_path / "state")}))
    hub = subprocess.Popen(
        [*PROGRAM, "hub", "run", str(config), "--stop-with-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        machine = WrongCalendar(fabric.loop)
        clock = MeshClock(machine, 0.01)
        assert error_s(clock) == pytest.approx(OFF_S, abs=1.0)
        link = fabric.link("becomingone.home.node.n")
        heard: list[Message] = []
        link.subscribe(TOPICS.clock_pong("n"), heard.append)
        sync = TimeSync(
            "n",
            link=link,
            topics=TOPICS,
            trust=Trust(None, 1),
            clock=clock,
            scheduler=machine,
            boot=1,
            rng=random.Random(1),
        )
        sync.start()
        link.start()
        known = fabric.until(lambda: sync.bursts >= 3 and clock.sigma_s < 2e-3, timeout_s=60.0)
        assert known, f"{sync.bursts} bursts, {sync.lost} pongs lost, sigma {clock.sigma_s}"
        # On a machine that others keep busy every round trip may be long: the error is judged by what is told of it,
        # and by what nobody can know, which of two ways through a broker takes longer.
        assert abs(error_s(clock)) < 5.0 * clock.sigma_s + 5e-4
        machine.off_s += 3600.0
        bursts = sync.bursts
        assert fabric.until(lambda: sync.bursts > bursts, timeout_s=60.0)
        assert abs(error_s(clock)) < 5.0 * clock.sigma_s + 5e-4
        assert sync.offset_s == pytest.approx(-OFF_S - 3600.0, abs=0.1)
        assert clock.steps == 0
        print(f"\nerror {error_s(clock) * 1e6:.1f} us, told {clock.sigma_s * 1e6:.1f} us (loopback, this machine)")
        now_ns = clock.monotonic_ns()
        assert heard
        assert all(0 < message.arrived_ns <= now_ns for message in heard)
        assert not sync.refused
        assert not fabric.failures
        sync.close()
    finally:
        hub.kill()
        hub.communicate()
        fabric.close()
