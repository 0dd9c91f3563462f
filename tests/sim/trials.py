"""Trials: a cell, or a handful of links, under faults drawn at random, and what must hold whatever they are."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

from becomingone.broker.link import Message
from becomingone.hub.config import HubConfig
from becomingone.sim.bench import Bench
from becomingone.sim.broker import SimLink
from becomingone.sim.cells import authenticated, walkers
from becomingone.sim.ports import SimPorts

from .random_plans import random_plan

UNTIL_S = 20.0
"""The last fault."""

BACK_S = 40.0
"""Seconds after the last fault within which everything is as before: two keepalives of 10 s until a client finds that
its connection is half open, an attempt that hangs for 5 s, its back-off, 5 s until the hub asks for a description."""

STALE_S = 2.0
NODES = ("n001", "n002", "n003")
BASE = "becomingone/home"

LAMP = '''\
"""A display that writes down when it was told what."""

from pydantic import BaseModel


class Options(BaseModel, frozen=True, extra="forbid"):
    pass


class Device:
    role = "display"

    def __init__(self, options, ports):
        self._ports = ports

    def _write(self, what):
        self._ports.terminal.write(f"{what} {self._ports.clock.monotonic_ns()}\\n")

    def apply(self, values):
        self._write("apply")

    def rest(self):
        self._write("rest")
'''


class Happened(NamedTuple):
    kind: str
    client: str
    topic: str
    payload: bytes | None
    why: str


class Log(list[Happened]):
    """An event log that is kept instead of written."""

    def note(self, kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        self.append(Happened(kind, client, topic, payload, why))


class CellTrial:
    """Three walkers, one of which has a lamp, and a hub, all with keys."""

    def __init__(self, seed: int, folder: Path) -> None:
        (folder / "lamp.py").write_text(LAMP)
        self.plan = random_plan(seed, UNTIL_S)
        self.log = Log()
        self.bench = Bench(seed, faults=self.plan, log=self.log, keep_trace=False)
        hub, nodes = authenticated(HubConfig.model_validate({"tick_hz": 5}), walkers(len(NODES), seed=7), seed=seed)
        light = {"name": "light", "kind": "lamp", "stale_s": STALE_S}
        lit = {**nodes[0].model_dump(), "outputs": [light], "drop_in": folder}
        nodes[0] = type(nodes[0]).model_validate(lit)
        self.lives: list[SimPorts] = []
        self.bench.add_hub(hub)
        for node in nodes:
            self.bench.add_node(node, make_ports=self._ports if node is nodes[0] else SimPorts)

    def _ports(self, clock: Any) -> SimPorts:
        made = SimPorts(clock)
        self.lives.append(made)
        return made

    def check(self) -> None:
        while self.bench.scheduler.monotonic_ns() < UNTIL_S * 1e9:
            self.bench.run_for(1.0)
            self.figures_are_figures()
        self.bench.run_for(BACK_S)
        self.everything_is_as_before()
        self.bench.run_for(5.0)
        self.everything_is_as_before()
        self.nothing_damaged_was_taken()
        self.the_lamp_rested_whenever_commands_stopped()

    def figures_are_figures(self) -> None:
        snapshot = self.bench.snapshot()
        for figures in (snapshot, *snapshot.get("bands", {}).values()):
            for name in ("coherence", "order", "locking"):
                value = figures.get(name)
                assert value is None or (math.isfinite(value) and 0.0 <= value <= 1.0), (name, value)

    def everything_is_as_before(self) -> None:
        retained, snapshot = self.bench.broker.retained, self.bench.snapshot()
        states = {node: retained.get(f"{BASE}/node/{node}/state") for node in NODES}
        assert states == dict.fromkeys(NODES, b"ready")
        assert retained.get(f"{BASE}/hub/state") == b"ready"
        assert {node: entry["state"] for node, entry in snapshot["nodes"].items()} == dict.fromkeys(NODES, "ready")
        stride = snapshot["bands"]["stride"]
        assert stride["channels"] == len(NODES)
        assert stride["coherence"] > 0.9
        assert float(retained[f"{BASE}/coherence"]) > 0.9

    def nothing_damaged_was_taken(self) -> None:
        """The hub has taken nothing for a frame but what a node has sent."""
        frames = [event for event in self.log if "/phase/" in event.topic]
        sent = {event.payload for event in frames if event.kind == "send"}
        came = [event.payload for event in frames if event.kind == "deliver"]
        damaged = sum(one not in sent for one in came)
        hubs = self.bench.snapshots.values()
        taken, refused = sum(hub["frames"] for hub in hubs), sum(sum(hub["refused"].values()) for hub in hubs)
        assert taken <= len(came) - damaged
        if len(hubs) == 1:  # one that is killed takes what it has refused since its last snapshot with it
            assert refused >= damaged
        assert sent

    def the_lamp_rested_whenever_commands_stopped(self) -> None:
        obeyed = 0
        for life in self.lives:
            told = [line.split() for line in life.screen.getvalue().splitlines()]
            told_at = [(what, int(at) / 1e9) for what, at in told]
            assert told_at[0][0] == "rest"
            for (what, at), (_, after) in itertools.pairwise(told_at):
                obeyed += what == "apply"
                assert what == "rest" or after - at <= STALE_S + 1e-6
        assert obeyed


class LinkTrial:
    """Two that speak and one that listens with a session that is kept, all at QoS 1, and nothing but faults."""

    def __init__(self, seed: int) -> None:
        plan = random_plan(seed, UNTIL_S)
        paths = [
            path.model_copy(
                update={
                    "up": path.up.model_copy(update={"corrupt": 0.0}),
                    "down": path.down.model_copy(update={"corrupt": 0.0}),
                }
            )
            for path in plan.network.paths
        ]
        calm = plan.network.model_copy(update={"paths": tuple(paths)})
        self.plan = plan.model_copy(update={"network": calm})
        self.log = Log()
        self.bench = Bench(seed, faults=self.plan, log=self.log)
        self.heard: list[bytes] = []
        self.told: dict[bytes, bool] = {}
        self.listener = self.bench.client("listener", session_s=3600)
        self.listener.subscribe("t/#", self._hear, qos=1)
        self.speakers = [self.bench.client(f"speaker{number}", session_s=3600 * number) for number in range(2)]
        for link in (self.listener, *self.speakers):
            self.bench.adopt(link)
            link.start()

    def _hear(self, message: Message) -> None:
        self.heard.append(message.payload)

    def _say(self, speaker: SimLink, number: int) -> None:
        payload = b"%s %d" % (speaker.client_id.encode(), number)

        def settled(known: bool) -> None:
            assert payload not in self.told, "told twice"
            self.told[payload] = known

        speaker.publish(f"t/{speaker.client_id}", payload, qos=1, settled=settled)

    def check(self) -> int:
        """Give how many messages a speaker was told True of; 0 where all were out of reach from the first moment on."""
        number = 0
        while not self.listener.connected:  # before there is a session nothing waits for it
            self.bench.run_for(0.01)
        while self.bench.scheduler.monotonic_ns() < UNTIL_S * 1e9:
            for speaker in self.speakers:
                self._say(speaker, number)
            number += 1
            self.bench.run_for(0.1)
        self.bench.run_for(2 * BACK_S)
        assert all(link.connected for link in (self.listener, *self.speakers))
        forgot = any(event.kind == "crash" and not event.why for event in self.log)
        missing = {payload for payload, known in self.told.items() if known} - set(self.heard)
        assert forgot or not missing
        assert not any(event.why == "queue full" for event in self.log if event.kind == "drop")
        assert sum(self.told.values()) == sum(link.metrics.acknowledged for link in self.speakers)
        if not forgot:  # else what is sent again after the crash may come for the first time, after what was newer
            self.order_is_kept()
        return sum(self.told.values())

    def order_is_kept(self) -> None:
        """What is heard for the first time of one speaker is in the order in which it was said (4.6)."""
        for speaker in self.speakers:
            mine = dict.fromkeys(p for p in self.heard if p.startswith(speaker.client_id.encode()))
            numbers = [int(payload.split()[1]) for payload in mine]
            assert numbers == sorted(numbers)
