"""A hub and four nodes that share a rhythm in virtual time; what was told of each, and who else was blamed."""

from __future__ import annotations

import json
import random
from typing import Any

from becomingone.broker.kept_store import MemoryStore
from becomingone.config.loader import digest
from becomingone.hub.config import HubConfig
from becomingone.hub.emergence.explain import explain
from becomingone.node.agent import NodeAgent
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.machine import Machine
from becomingone.runner import InlineRunner
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.sim.fake_host import FakeHost
from becomingone.sim.plan import FaultPlan
from becomingone.sim.ports import SimPorts

BASE = "becomingone/home"
BAND = {"quick": {"frequency_hz": 2.0, "tau_s": 0.1}}
OTHERS = ("n1", "n2", "n3")


def node_config(name: str, number: int = 0) -> NodeConfig:
    options = {"frequency_hz": 2.02, "phase_rad": 0.7 * number, "noise": 0.15, "seed": number, "rate_hz": 20.0}
    return NodeConfig.model_validate(
        {
            "node": name,
            "bands": BAND,
            "frames_per_s": 2,
            "health_s": 3600,
            "inputs": [{"name": "d", "kind": "synthetic", "options": options}],
        }
    )


class House:
    """A small cell on the bench, with nothing left out."""

    def __init__(self, *, bench: Bench | None = None, faults: FaultPlan | None = None) -> None:
        self.bench = bench or Bench(1, faults=faults)
        if bench is None:
            self.bench.add_hub(HubConfig.model_validate({"bands": BAND, "tick_hz": 5}))
            for number in range(4):
                self.bench.add_node(node_config(f"n{number}", number))

    def run_until_told(self, kind: str, *, within_s: float, reason: str | None = None) -> dict[str, Any]:
        """Let time pass until an event is told; give it."""
        for _ in range(round(within_s)):
            found = [one for one in self.events(kind) if reason in (None, one.get("reason"))]
            if found:
                return found[0]
            self.bench.run_for(1.0)
        raise AssertionError(f"no event {kind} of {reason} within {within_s} s; there are {self.kinds()}")

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What was published of a kind, in order."""
        topic = f"{BASE}/event/{kind}"
        return [json.loads(entry.payload) for entry in self.bench.broker.trace if entry.topic == topic]

    def kinds(self) -> set[str]:
        return {entry.topic.split("/")[3] for entry in self.bench.broker.trace if f"{BASE}/event/" in entry.topic}

    def snapshot(self) -> dict[str, Any]:
        """One that was made from now on."""
        self.bench.run_for(1.1)
        return self.bench.snapshot()

    def trust(self) -> dict[str, set[str]]:
        """By node, the reasons for which it counts for less now."""
        return {name: set(node["trust"]) for name, node in self.snapshot()["nodes"].items()}

    def check_told(self, event: dict[str, Any], *words: str) -> None:
        """It is remembered as it was told, and explained in words that name the node."""
        self.bench.run_for(5.0)  # the memory's next commit
        kept = [entry.body for entry in self.bench.memory.reader().entries("event", 0, 1 << 62)]
        assert [one["kind"] for one in kept if one.get("id") == event["id"]] == [event["kind"]]
        text = " ".join(explain(event).split())
        for word in (event["node"], *words):
            assert word in text, text

    def check_nobody_else_is_blamed(self) -> None:
        blamed = {one["node"] for kind in ("distrusted", "twin", "witness", "lost") for one in self.events(kind)}
        assert blamed <= {"n0"}
        trust = self.trust()
        assert [trust[name] for name in OTHERS] == [set()] * len(OTHERS)
        assert all(self.bench.snapshot()["nodes"][name]["state"] == "ready" for name in OTHERS)

    def second(self, name: str) -> NodeAgent:
        """Start another node of the same id on a machine of its own; neither knows of the other."""
        bench, scheduler = self.bench, self.bench.scheduler
        clock = MeshClock(scheduler)
        config = node_config(name, 9)
        node = NodeAgent(
            Loaded(config, digest(config)),
            Machine(
                boot=40,
                pid=0,
                links=bench._links(config.broker.keepalive_s),
                ports=SimPorts(clock, scheduler),
                clock=clock,
                scheduler=scheduler,
                make_runner=lambda _name: InlineRunner(scheduler),
                rng=random.Random(9),
                host=FakeHost(),
                store=MemoryStore(1_000_000),
                host_name="attic",
            ),
        )
        node.start()
        return node
