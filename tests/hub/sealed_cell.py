"""Two walkers, a lamp and a hub with keys in virtual time, and a client that has none."""

from __future__ import annotations

import json
from typing import Any

from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.node.config import NodeConfig
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.wire.command import OutputCommand, encode_command
from becomingone.wire.frame import encode_frame
from becomingone.wire.seal import node_key

from .hostile import SECRET, EpochMemory
from .parts import frame

BASE = "becomingone/home"
GREEN = {"hue": 120.0, "brightness": 0.125}
SEALED = {"security": {"secret": SECRET.hex()}}


def key(node: str) -> bytes:
    return node_key(SECRET, "becomingone", "home", node)


def tone(phase: float) -> dict[str, Any]:
    options = {"frequency_hz": 0.784, "phase_rad": phase, "noise": 0.1, "rate_hz": 50, "seed": 1, "floor": 0.05}
    return {"name": "leg", "kind": "synthetic", "bands": ["stride"], "options": options}


class SealedCell:
    """Two walkers and a lamp with keys of their own, a hub with the secret, and a client that has none."""

    def __init__(self, **hub: Any) -> None:
        self.bench = Bench(1)
        self.store = EpochMemory()
        self.hub = self.start_hub(1, **hub)
        for name, content in {
            "thigh": {"inputs": [tone(0.0)]},
            "shank": {"inputs": [tone(0.75)]},
            "lamp": {"outputs": [{"name": "light", "kind": "terminal"}]},
        }.items():
            self.start_node(name, **content)
        self.stranger = self.bench.client("stranger")
        self.stranger.start()

    def start_hub(self, boot: int, **fields: Any) -> Hub:
        self.hub = Hub(
            HubConfig.model_validate({**SEALED, **fields}),
            HubMachine(
                boot=boot,
                links=self.bench.broker.link,
                clock=MeshClock(self.bench.scheduler),
                scheduler=self.bench.scheduler,
                epochs=self.store,
            ),
        )
        self.hub.start()
        return self.hub

    def kill_hub(self) -> None:
        for turn in self.hub._turns:
            turn.cancel()
        self.bench.broker.kill(self.hub._link.client_id)

    def start_node(self, name: str, **content: Any) -> None:
        config = {"node": name, **content, "security": {"key": key(name).hex()}}
        self.bench.add_node(NodeConfig.model_validate(config))

    def run(self, seconds: float) -> SealedCell:
        self.bench.run_for(seconds)
        return self

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.stranger.publish(f"{BASE}/{topic}", payload, retain=retain)
        self.run(0.01)

    @property
    def snapshot(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.bench.broker.retained[f"{BASE}/snapshot"])
        return content

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(e.payload) for e in self.bench.broker.trace if e.topic == f"{BASE}/event/{kind}"]

    def fresh_frame(self, **fields: Any) -> bytes:
        now = self.bench.scheduler.time_us()
        return encode_frame(frame(**{"phase": 3.0, "seq": 1 << 40, "time_us": now, **fields}))

    def command(self, number: int = 1 << 40) -> bytes:
        expires_us = self.bench.scheduler.time_us() + 1_000_000
        return encode_command(OutputCommand(boot=1 << 20, id=number, expires_us=expires_us, values=GREEN))
