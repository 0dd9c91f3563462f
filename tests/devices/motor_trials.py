"""How long a motor goes on when something that drives it fails: 10,000 times in virtual time, 50 times in real time.

``python -m tests.devices.motor_trials`` from the repository's root; ``--virtual N`` and ``--real N`` for other numbers.
Virtual time is a simulation: it shows that no order of events keeps a motor going, not how fast a machine is.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

from becomingone.broker.link import Message
from becomingone.config.sections import default_bands
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.broker import SimLink
from becomingone.sim.cells import authenticated, walkers
from becomingone.sim.pins import PinChange
from becomingone.sim.plan import FaultPlan
from becomingone.sim.ports import SimPorts
from becomingone.wire.command import OutputCommand, encode_command
from becomingone.wire.seal import node_key, seal
from becomingone.wire.topics import Topics

from .motor_result import MOVING_PINS, Result, rest_after

OPTIONS: Mapping[str, Any] = {
    "armed": True,
    "max_speed": 1.0,
    "slew_per_s": 10.0,
    "left": {"forward": 17, "backward": 18},
    "right": {"forward": 22, "backward": 23},
    "enable_pin": 24,
}
NODE = "n001"
PER_CELL = 100
"""Trials in one cell, before another begins with another network."""

WATCHED_S = 0.5
"""A failure lasts so long, and a motor is watched so long."""

_BACK_S = 90.0


NETWORKS: tuple[dict[str, Any], ...] = (
    {},
    {"delay_ms": {"kind": "uniform", "low": 1.0, "high": 40.0}},
    {"delay_ms": {"kind": "uniform", "low": 10.0, "high": 60.0}},
    {"delay_ms": {"kind": "uniform", "low": 1.0, "high": 10.0}, "loss": 0.01, "corrupt": 0.02, "duplicate": 0.05},
)


class Cell:
    """A hub and two walkers with keys; one of them has a motor that follows the walk."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        way = NETWORKS[seed % len(NETWORKS)]
        plan = FaultPlan.model_validate({"network": {"paths": [{"up": way, "down": way}]}})
        self.bench = Bench(seed, faults=plan, keep_trace=False)
        bands = {"stride": default_bands()["stride"]}
        hub = HubConfig.model_validate({"bands": bands, "decision": {"dwell_s": 0.2}})
        made = [node.model_copy(update={"bands": bands}) for node in walkers(2, seed=seed)]
        self.hub, nodes = authenticated(hub, made, seed=seed)
        self.key = nodes[0].security.node_key() or b""
        self.topic = Topics("becomingone", "home").output_set(NODE, "m")
        motor = {"name": "m", "kind": "motor", "options": OPTIONS}
        driven = NodeConfig.model_validate({**nodes[0].model_dump(), "outputs": [motor]})
        self.bench.add_hub(self.hub)
        self.bench.add_node(driven.model_copy(update={"security": nodes[0].security}))
        self.bench.add_node(nodes[1])
        self.ids = list(self.bench._world.alive)
        self.heard: list[bytes] = []
        self.sent: set[bytes] = set()
        self._states: dict[int, float] = {}
        self._seen = 0
        self.enemy: SimLink = self.bench.client("enemy")
        self.enemy.subscribe(self.topic, self._hear, qos=0)
        self.enemy.start()

    def _hear(self, message: Message) -> None:
        if message.payload not in self.sent:
            self.heard = [*self.heard[-99:], message.payload]

    @property
    def now_ns(self) -> int:
        return self.bench.scheduler.monotonic_ns()

    @property
    def changes(self) -> list[PinChange]:
        ports: SimPorts = self.bench.ports[NODE]
        return ports.pin_changes

    def moving(self) -> bool:
        for change in self.changes[self._seen :]:
            self._states[change.pin] = change.value
        self._seen = len(self.changes)
        return any(self._states.get(pin) for pin in MOVING_PINS)

    def wait_until_moving(self) -> None:
        end = self.now_ns + _BACK_S * 1e9
        while not self.moving():
            self.bench.run_for(0.05)
            assert self.now_ns < end, "the motor has not begun to move again"
        self.bench.run_for(self.rng.uniform(0.1, 0.3))
        while not self.moving():  # it may have stopped for a moment: its network delays commands, and its walk turns
            self.bench.run_for(0.001)
            assert self.now_ns < end, "the motor does not go on"

    def trial(self, name: str) -> float:
        """Let something fail; give the seconds until the motor was at rest for good."""
        self.wait_until_moving()
        self.changes.clear()
        self.changes.extend(PinChange(0, pin, value) for pin, value in self._states.items())
        self._seen = 0
        failed_ns = self.now_ns
        mend = FAILURES[name](self)
        self.bench.run_for(WATCHED_S)
        rest_s = rest_after(self.changes, failed_ns)
        mend()
        return rest_s

    def client(self, name: str) -> str:
        return next(client for client in self.ids if client.rpartition(".")[2] == name)

    # -- failures; each returns how to mend it -----------------------------------------------------------------

    def kill_hub(self) -> Callable[[], None]:
        self.bench.kill("hub", silent=self.rng.random() < 0.5)
        return lambda: self.bench.add_hub(self.hub) and None

    def part(self, *names: str) -> Callable[[], None]:
        paths = [self.bench.broker.network.path(self.client(name)) for name in names]
        for path in paths:
            path.blocks += 1

        def join() -> None:
            for path in paths:
                path.blocks -= 1

        return join

    def stop_hub(self) -> Callable[[], None]:
        """As SIGSTOP: nothing of it comes, its connection stands; what it had sent is delivered when it goes on."""
        return self.part("hub")

    def kill_broker(self) -> Callable[[], None]:
        self.bench.broker.crash(persistent=self.rng.random() < 0.5, silent=self.rng.random() < 0.5)
        return self.bench.broker.restart

    def stop_broker(self) -> Callable[[], None]:
        return self.part("hub", NODE, "n002")

    def cut_link(self) -> Callable[[], None]:
        join = self.part(NODE)
        self.bench.broker.cut(self.client(NODE))
        return join

    def lose_link(self) -> Callable[[], None]:
        """Half open: neither side knows."""
        join = self.part(NODE)
        self.bench.broker.lose(self.client(NODE))

        def mend() -> None:
            join()
            self.bench.broker.cut(self.client(NODE))  # else it finds out by the keepalive only

        return mend

    def attack(self, make: Callable[[], bytes]) -> Callable[[], None]:
        """Kill the hub, and flood the motor's topic in its place."""
        mend = self.kill_hub()
        end = self.now_ns + WATCHED_S * 1e9

        def flood() -> None:
            if self.now_ns < end:
                payload = make()
                self.sent.add(payload)
                self.enemy.publish(self.topic, payload, qos=1)
                self.bench.scheduler.call_at(self.now_ns + self.rng.randint(1_000_000, 50_000_000), flood)

        flood()
        return mend

    def replay(self) -> Callable[[], None]:
        """The hub's own commands again, sealed as they are."""
        return self.attack(lambda: self.rng.choice(self.heard))

    def expired(self) -> Callable[[], None]:
        """Well-formed, newer than any other and sealed with the right key, but too late."""

        def make() -> bytes:
            now_us = self.bench.nodes[NODE]._machine.clock.now_us()
            command = OutputCommand(
                boot=2**31,
                id=self.now_ns,
                expires_us=now_us - self.rng.randint(200_000, 10**9),
                values={"velocity": 1.0},
            )
            return seal(self.key, self.topic, encode_command(command), self.bench._world.boots[NODE])

        return self.attack(make)

    def malformed(self) -> Callable[[], None]:
        def make() -> bytes:
            payload = bytearray(self.rng.choice(self.heard))
            kind = self.rng.randrange(4)
            if kind == 0:
                return self.rng.randbytes(self.rng.randint(0, 200))
            if kind == 1:
                return bytes(payload[: self.rng.randrange(len(payload))])
            if kind == 2:
                return bytes(payload) + self.rng.randbytes(self.rng.randint(1, 5000))
            payload[self.rng.randrange(len(payload))] ^= 1 << self.rng.randrange(8)
            return bytes(payload)

        return self.attack(make)

    def forged(self) -> Callable[[], None]:
        """Well-formed and in time, by somebody without the key, or with another node's."""
        other = node_key(self.rng.randbytes(32), "becomingone", "home", NODE)

        def make() -> bytes:
            now_us = self.bench.nodes[NODE]._machine.clock.now_us()
            command = OutputCommand(boot=2**31, id=self.now_ns, expires_us=now_us + 10**6, values={"velocity": 1.0})
            payload = encode_command(command)
            return payload if self.rng.random() < 0.5 else seal(other, self.topic, payload, 1)

        return self.attack(make)


FAILURES: dict[str, Callable[[Cell], Callable[[], None]]] = {
    "hub killed": Cell.kill_hub,
    "hub stopped": Cell.stop_hub,
    "broker killed": Cell.kill_broker,
    "broker stopped": Cell.stop_broker,
    "link cut": Cell.cut_link,
    "link lost": Cell.lose_link,
    "fed replayed commands": Cell.replay,
    "fed expired commands": Cell.expired,
    "fed malformed commands": Cell.malformed,
    "fed forged commands": Cell.forged,
}


def virtual(trials: int, *, seed: int = 1, tell: Callable[[str], None] = lambda _text: None) -> Result:
    """Let everything that drives a motor fail, in virtual time, `trials` times.

    The hub's and the node's code, from the band's field to gpiozero's pins, is the real one; broker, network, clocks
    and the pins themselves are simulated.
    """
    result = Result()
    names = list(FAILURES)
    done = 0
    while done < trials:
        cell = Cell(seed + done // PER_CELL)
        for _ in range(min(PER_CELL, trials - done)):
            name = names[done % len(names)]
            result.rest_s[name].append(cell.trial(name))
            done += 1
        tell(f"{done} of {trials}: at most {result.maximum_s:.6f} s")
    return result


def real(trials: int, *, tell: Callable[[str], None] = lambda _text: None) -> Result:
    """Let everything that drives a motor fail, on this machine, `trials` times; see `motor_real`."""
    from .motor_real import run  # noqa: PLC0415 - virtual time needs no Mosquitto

    result = Result()
    for name, rest_s in run(trials, tell):
        result.rest_s[name].append(rest_s)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description="how long a motor goes on when something fails")
    parser.add_argument("--virtual", type=int, default=10_000, metavar="N", help="trials in virtual time")
    parser.add_argument("--real", type=int, default=50, metavar="N", help="trials with real processes over Mosquitto")
    arguments = parser.parse_args()
    said: dict[str, Any] = {}
    for name, run, trials in (("virtual", virtual, arguments.virtual), ("real", real, arguments.real)):
        if trials:
            said[name] = run(trials, tell=lambda text: print(text, file=sys.stderr)).report()
    print(json.dumps(said, indent=2))
    return 0 if all(report["ok"] for report in said.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
