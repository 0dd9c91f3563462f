"""From a frame's last sample to an output's device call, through a real Mosquitto and a real hub, beside a ping-pong.

Two nodes are real as far as this path goes: their frames leave through a node's link, and commands come back through a
node's link, checks, driver and device. They send ten frames a second each; a rule sets each one's lamp to the coherence
that its own frame says, so that it is known which frame a command answers. All other nodes are a process that sends
their frames. A node's very first frame is told apart (``first``): what hangs on a node not heard before is looked at
with the next tick, up to 50 ms later. The baseline is a bare paho-mqtt that answers another one: as many messages and
hops.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

from becomingone.bench import broker_hosts, hub_host
from becomingone.bench.mesh_traffic import LAMP, Cell, make_frame
from becomingone.bench.raw_mqtt import RawClient, publish_packet
from becomingone.bench.report import Report, Row
from becomingone.broker.backoff import Backoff
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.errors import LinkError
from becomingone.node.outputs import OutputRunner
from becomingone.node.trust import Trust
from becomingone.runner import ThreadRunner
from becomingone.scheduling import LoopScheduler, MeshClock

RATE_HZ: Final = 10.0
"""Frames a second of each node."""

PROBES: Final = 2
STEPS: Final = 90
"""Different values that the lamps go through, 0.01 apart: more than the band in which nothing is sent."""

GIVE_UP_S: Final = 2.0
BOUNDS_MS: Final = {2: 1.0, 10: 10.0, 100: 100.0, 1000: 100.0}
"""The documents' bounds at p99 by number of nodes; at 1,000 they ask for 1,000 ms, and this for 100."""

MOST_RATIO: Final = 1.5

_RULES: Final = """
dispatch:
  rules:
"""
_RULE: Final = """
    - {{name: probe{number}, outputs: node{number}/lamp, set: {{brightness: "node('node{number}').coherence"}}}}
"""

_ECHO: Final = """
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
client = mqtt.Client(CallbackAPIVersion.VERSION2)
client.on_message = lambda client, data, message: client.publish("bench/pong", message.payload)
client.on_subscribe = lambda *_: print(flush=True)
client.connect({host!r}, {port})
client.subscribe("bench/ping")
client.loop_forever()
"""
_ASK: Final = """
import json, threading, time
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
taken, ready, complete = [], threading.Event(), threading.Event()
def pong(client, data, message):
    taken.append((time.perf_counter_ns() - int(message.payload)) / 1e6)
    if len(taken) == {count}:
        complete.set()
client = mqtt.Client(CallbackAPIVersion.VERSION2)
client.on_message = pong
client.on_subscribe = lambda *_: ready.set()
client.connect({host!r}, {port})
client.subscribe("bench/pong")
client.loop_start()
if not ready.wait(10):
    raise SystemExit("the broker grants no subscription")
for _ in range({count}):
    client.publish("bench/ping", b"%060d" % time.perf_counter_ns())
    time.sleep({pause})
complete.wait(10)
print(json.dumps(taken))
"""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    rounds : int
        At the smallest number of nodes, each measures the baseline and the hub, ≥ 1.
    trips : int
        Frames of both nodes together in a round, and pings, ≥ 2.
    nodes : sequence of int
        How many nodes there are, ≥ 2 each.
    """

    rounds: int = 4
    trips: int = 200
    nodes: Sequence[int] = (2, 10, 100, 1000)


QUICK: Final = Effort(rounds=1, trips=20, nodes=(2,))


@dataclass(slots=True)
class _Times:
    ms: list[float] = field(default_factory=list[float])
    lost: int = 0
    superseded: int = 0
    """Values that were never commanded, because a newer one was."""

    @property
    def p50(self) -> float:
        return statistics.median(self.ms) if self.ms else float("inf")

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.ms, n=100, method="inclusive")[98] if len(self.ms) > 1 else float("inf")


def run(effort: Effort | None = None) -> Report:
    """Measure.

    Raises
    ------
    LinkError
        There is no Mosquitto, or the hub does not get ready.
    """
    effort = effort or Effort()
    mosquitto = broker_hosts.find("mosquitto")
    if mosquitto is None:
        msg = "this needs Mosquitto: apt install mosquitto"
        raise LinkError(msg)
    rows: list[Row] = []
    baseline = _Times()
    with broker_hosts.mosquitto(mosquitto) as port:
        for nodes in effort.nodes:
            first, ours = _Times(), _Times()
            with _cell(port, nodes) as cell:
                asyncio.run(_probe(port, cell, PROBES, first))
                for _ in range(effort.rounds if nodes == PROBES else 1):
                    if nodes == PROBES:
                        baseline.ms += _ping_pong(port, effort.trips)
                    asyncio.run(_probe(port, cell, effort.trips, ours))
            rows += _rows(nodes, first, ours, baseline)
    return Report("latency", rows)


def _rows(nodes: int, first: _Times, ours: _Times, baseline: _Times) -> list[Row]:
    more = {
        "first": max(first.ms, default=float("inf")),
        "p50": ours.p50,
        "baseline's p50": baseline.p50,
        "lost": float(ours.lost),
        "superseded": float(ours.superseded),
        "frames": float(len(ours.ms)),
        "load": os.getloadavg()[0],
    }
    ratio = ours.p99 / baseline.p99
    bound = BOUNDS_MS.get(nodes, 1000.0)
    rows = [Row(f"{nodes} nodes, p99", "ms", baseline.p99, ours.p99, ratio, f"< {bound:g} ms", ours.p99 < bound, more)]
    if nodes == PROBES:
        target = f"≤ {MOST_RATIO:g} × baseline"
        rows.append(Row("2 nodes, p99", "ms", baseline.p99, ours.p99, ratio, target, ratio <= MOST_RATIO))
    return rows


@contextlib.contextmanager
def _cell(port: int, nodes: int) -> Generator[Cell]:
    """Run a hub and all nodes of its cell but those that are measured."""
    cell = Cell(nodes, 1, outputs=PROBES)
    rules = _RULES + "".join(_RULE.format(number=number) for number in range(PROBES))
    stop = multiprocessing.get_context("spawn").Event()
    others = multiprocessing.get_context("spawn").Process(target=_others, args=(port, nodes, stop), daemon=True)
    with (
        tempfile.TemporaryDirectory(prefix="becomingone-bench-") as folder,
        contextlib.closing(RawClient(port, "bench-sender")) as sender,
        hub_host.hub(port, Path(folder), cell, sender, more=rules),
    ):
        others.start()
        try:
            yield cell
        finally:
            stop.set()
            others.join(5.0)
            others.kill()


def _others(port: int, nodes: int, stop: Event) -> None:
    """Send ten frames a second of each node that is not measured, spread evenly over the time."""
    cell = Cell(nodes, 1)
    plain = make_frame(0, 0, 1, random.Random(2))  # noqa: S311 - draws figures
    count = nodes - PROBES
    with contextlib.closing(RawClient(port, "bench-others")) as client:
        sent = 0
        begun = time.monotonic()
        while count and not stop.is_set():
            due = int((time.monotonic() - begun) * RATE_HZ * count)
            packets: list[bytes] = []
            while sent < due:
                number = PROBES + sent % count
                frame = plain._replace(seq=sent // count, time_us=time.time_ns() // 1_000)
                packets.append(publish_packet(*cell.steady(number, frame)))
                sent += 1
            client.send(b"".join(packets))
            stop.wait(0.002)


class _Lamp:
    """A display that takes note of when it was told what."""

    role = "display"

    def __init__(self, times: _Times) -> None:
        self._times = times
        self.begun_ns: dict[int, int] = {}
        self.superseded = 0

    def apply(self, values: Mapping[str, float]) -> None:
        """See `becomingone.devices.contract.Output`."""
        begun_ns = self.begun_ns.pop(round(values["brightness"] * 100.0) - 5, None)
        if begun_ns is not None:
            self._times.ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
            for step in [step for step, earlier_ns in self.begun_ns.copy().items() if earlier_ns < begun_ns]:
                del self.begun_ns[step]
                self.superseded += 1

    def rest(self) -> None:
        """See `becomingone.devices.contract.Output`."""


async def _probe(port: int, cell: Cell, trips: int, times: _Times) -> None:
    """Have the two measured nodes send frames, and wait for their lamps."""
    scheduler = LoopScheduler(asyncio.get_running_loop())
    clock = MeshClock(scheduler)
    settings = BrokerSettings(url=f"mqtt://{broker_hosts.HOST}:{port}")
    plain = make_frame(0, 0, 1, random.Random(3))._replace(n_eff=40.0, p=1e-9)  # noqa: S311 - draws figures
    lamps: list[_Lamp] = []
    async with contextlib.AsyncExitStack() as stack:
        links: list[PahoLink] = []
        for number in range(PROBES):
            lamp = _Lamp(times)
            runner = ThreadRunner(scheduler, LAMP)
            stack.callback(runner.close)
            output = OutputRunner(
                LAMP,
                lamp,
                stale_s=60.0,
                clock=clock,
                scheduler=scheduler,
                report=lambda _name, _state: None,
                trust=Trust(cell.key(number), 1),
                runner=runner,
            )
            backoff = Backoff(random.Random(1))  # noqa: S311 - paces reconnections
            link = PahoLink(cell.name(number), None, settings=settings, scheduler=scheduler, backoff=backoff)
            link.subscribe(cell.topics.output_set(cell.name(number), LAMP), output.command)
            up = asyncio.Event()
            link.on_up(up.set)
            link.start()
            stack.push_async_callback(_close, link)
            await up.wait()
            lamps.append(lamp)
            links.append(link)
        first = time.time_ns() // 1_000  # greater than any number of an earlier round
        due = time.monotonic()
        for trip in range(trips):
            number, step = trip % PROBES, trip // PROBES % STEPS
            due += 1.0 / (RATE_HZ * PROBES)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            times.lost += step in lamps[number].begun_ns
            lamps[number].begun_ns[step] = time.perf_counter_ns()
            frame = plain._replace(seq=first + trip, time_us=time.time_ns() // 1_000, coherence=(step + 5) / 100.0)
            links[number].publish(*cell.steady(number, frame))
        end = time.monotonic() + GIVE_UP_S
        while any(lamp.begun_ns for lamp in lamps) and time.monotonic() < end:
            await asyncio.sleep(0.01)
    times.lost += sum(len(lamp.begun_ns) for lamp in lamps)
    times.superseded += sum(lamp.superseded for lamp in lamps)


async def _close(link: PahoLink) -> None:
    closed = asyncio.Event()
    link.close(closed.set)
    await closed.wait()


def _ping_pong(port: int, count: int) -> list[float]:
    """Milliseconds of each round trip between two bare paho-mqtt clients, at the pace of the frames."""
    where = {"host": broker_hosts.HOST, "port": port}
    ask = _ASK.format(count=count, pause=1.0 / (RATE_HZ * PROBES), **where)
    with subprocess.Popen([sys.executable, "-c", _ECHO.format(**where)], stdout=subprocess.PIPE) as echo:  # noqa: S603
        try:
            if echo.stdout is not None:
                echo.stdout.readline()
            done = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True, timeout=60 + count)  # noqa: S603
        finally:
            echo.kill()
    taken: list[float] = json.loads(done.stdout)
    return taken
