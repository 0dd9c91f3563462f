"""Garbage at an output's topic: as much as the node can be given."""

from __future__ import annotations

import random
import resource
import struct
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt

from becomingone.broker.link import Message
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated
from becomingone.wire.command import OutputCommand, encode_command
from becomingone.wire.seal import node_key, seal

from .cell import BASE, SECRET, cell
from .outcome import Outcome, at_least, at_most, exactly, quantile, told

MIB = 1 << 20
TOPIC = f"{BASE}/node/n/output/light/set"
LIGHT = {"name": "light", "kind": "terminal"}
HONEST_S = 0.1
"""Seconds between honest commands."""


def _rss() -> int:
    """Give the most memory that this process has had, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _node() -> tuple[Bench, bytes]:
    bench = Bench(1, keep_trace=False)
    config = NodeConfig.model_validate({"node": "n", "outputs": [LIGHT]})
    hub, nodes = authenticated(HubConfig.model_validate({}), [config], seed=1)
    del hub
    bench.add_node(nodes[0])
    bench.run_for(5.0)
    return bench, nodes[0].security.node_key() or b""


def _take(bench: Bench) -> Any:
    """Give what the node's link calls for a message of that topic."""
    return bench.nodes["n"]._actuators._command


def handlers(quick: bool) -> Outcome:
    """Given to the node's real handlers in this process: 10 GiB in messages of 1 MiB, and a million small ones."""
    large, small = (1_024, 100_000) if quick else (10_240, 1_000_000)
    bench, key = _node()
    take, rng = _take(bench), random.Random(1)
    blocks = [rng.randbytes(MIB) for _ in range(4)]
    honest = seal(key, TOPIC, encode_command(_command(bench, 1, 120.0)), 1)
    seeds = [honest, rng.randbytes(64), b"", bytes(4096), b"\x9f" * 4000, b"\xa4" + b"\x01" * 4000, honest[:-1]]
    before = _rss()
    began = time.perf_counter()
    for number in range(large):
        take(Message(TOPIC, blocks[number % 4], False))
    large_s = time.perf_counter() - began
    slowest = 0.0
    began = time.perf_counter()
    for number in range(small):
        payload = bytearray(seeds[number % len(seeds)] or struct.pack(">Q", number))
        payload[number % len(payload)] ^= 1 + number % 255
        since = time.perf_counter()
        take(Message(TOPIC, bytes(payload), False))
        slowest = max(slowest, time.perf_counter() - since)
    small_s = time.perf_counter() - began
    refused = bench.nodes["n"].refused.total()
    obeyed_before = bench.nodes["n"].outputs["light"].state.doing
    take(Message(TOPIC, honest, False))
    bench.run_for(0.1)
    return Outcome(
        large + small,
        [
            told("garbage", large * MIB / 1e9, "GB"),
            at_least("messages of 1 MiB, taken at", large * MIB / 1e6 / large_s, 1000.0, "MB/s"),
            at_most("a small message, mean", 1e6 * small_s / small, 1000.0, "µs"),
            told("a small message, slowest", 1e3 * slowest, "ms"),
            exactly("refused and counted", refused, large + small),
            exactly("obeyed (1: yes)", int(obeyed_before == "command"), 0),
            exactly("the honest command after that obeyed (1: yes)", int(_doing(bench) == "command"), 1),
            at_most("memory that it took", (_rss() - before) / 1e6, 20.0, "MB"),
        ],
    )


def _doing(bench: Bench) -> str:
    return bench.nodes["n"].outputs["light"].state.doing


def _command(bench: Bench, number: int, holds_s: float) -> OutputCommand:
    now_us = bench.nodes["n"]._machine.clock.now_us()
    values = {"hue": 120.0, "brightness": 0.5}
    return OutputCommand(boot=1, id=number, expires_us=now_us + int(holds_s * 1e6), values=values)


def broker(quick: bool) -> Outcome:
    """200 MB through a real Mosquitto, while somebody with the hub's key goes on sending honest commands."""
    total = (20 if quick else 200) * 10**6
    key = node_key(SECRET, "becomingone", "home", "n")
    rng = random.Random(1)
    block = rng.randbytes(200_000)
    late: list[float] = []
    with cell({"n": {"outputs": [{**LIGHT, "stale_s": 60}]}}) as it:
        it.start("n")
        ear = it.ear
        it.wait(lambda: ear.json("node/n/health").get("uptime_s"), "the node speaks")
        ready = ear.json("node/n/health")
        number = 0
        end = threading.Event()
        count = _Count()

        def flood() -> None:
            stranger = _client(it.port)
            try:
                while count.sent < total and not end.is_set():
                    for payload in (block, rng.randbytes(60), b"", rng.randbytes(3000)):
                        message = stranger.publish(TOPIC, payload, qos=0)
                        count.sent += len(payload)
                    message.wait_for_publish(10.0)
                    end.wait(0.01)  # some 15 MB/s
            finally:
                count.took_s = time.monotonic() - began
                stranger.disconnect()
                stranger.loop_stop()

        began = time.monotonic()
        thread = threading.Thread(target=flood)
        thread.start()
        honest = _client(it.port)
        try:
            while thread.is_alive():
                number += 1
                hue = float(10 * number % 360)
                made = OutputCommand(
                    boot=1, id=number, expires_us=time.time_ns() // 1000 + 30_000_000,
                    values={"hue": hue, "brightness": 1.0},
                )  # fmt: skip
                since, told_so_far = time.monotonic(), len(it.said("n"))
                honest.publish(TOPIC, seal(key, TOPIC, encode_command(made), 1), qos=1)
                late.append(
                    it.wait(lambda hue=hue, at=told_so_far: f"hue {hue:.0f} " in it.said("n")[at:], f"hue {hue}", 30.0)
                )
                threading.Event().wait(max(0.0, HONEST_S - (time.monotonic() - since)))
        finally:
            end.set()
            thread.join()
            honest.disconnect()
            honest.loop_stop()
        it.wait(
            lambda: ear.json("node/n/health")["uptime_s"] > ready["uptime_s"] + count.took_s, "health after the flood"
        )
        health = ear.json("node/n/health")
    return Outcome(
        len(late),
        [
            told("garbage", count.sent / 1e6, "MB"),
            told("at", count.sent / 1e6 / count.took_s, "MB/s"),
            at_least("refused and counted", sum(health["refused_commands"].values()), count.sent // 203_060),
            told("honest command to output, p50", 1e3 * quantile(late, 0.5), "ms"),
            at_most("honest command to output, max", 1e3 * max(late), 2000.0, "ms"),
            at_most("memory that it took", (health["rss_bytes"] - ready["rss_bytes"]) / 1e6, 40.0, "MB"),
        ],
    )


def _client(port: int) -> mqtt.Client:
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


class _Count:
    sent = 0
    took_s = 0.0
