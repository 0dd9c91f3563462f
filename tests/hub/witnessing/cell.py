"""A real hub and real nodes in virtual time, one of which has a sensor or a node with a planted fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from becomingone.hub.config import HubConfig
from becomingone.node.agent import NodeAgent
from becomingone.node.config import NodeConfig
from becomingone.node.pipeline import ChannelId
from becomingone.sim.bench import Bench
from becomingone.wire.phase import PhaseFrame

BAND = {"quick": {"frequency_hz": 2.0, "tau_s": 0.1}}
"""A lag of 1 s."""

WITNESSING = {"window": 8, "epoch": 128, "first_epoch": 32}

FAULTY = '''
import math
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field

from becomingone.devices._pace import Pace, exact
from becomingone.devices.contract import Block, Channel


class Options(BaseModel, frozen=True, extra="forbid"):
    frequency_hz: Annotated[float, Field(gt=0)] = 2.02
    phase_rad: float = 0.0
    noise: Annotated[float, Field(ge=0)] = 0.15
    seed: int = 0
    fault: str = "none"
    from_s: float = 1e12
    rate: float = 0.0


class Device:
    """A tone that all nodes share, with noise of its own; and what goes wrong from an instant on."""

    origin = "simulated"
    instant = True

    def __init__(self, options, ports):
        self.channels = (Channel("tone", "", 20.0, "signal", 0.0),)
        self._options = options
        self._pace = Pace(ports.clock, exact(20.0))
        self._rng = np.random.default_rng(options.seed)
        self._first = None

    def read(self):
        due = self._pace.due()
        if due is None:
            return []
        o = self._options
        start_ns = self._pace.instant_ns(due.first)
        if self._first is None:
            self._first = start_ns
        n = due.stop - due.first
        t = (start_ns - self._first + np.arange(n) * self._pace.spacing_ns) / 1e9
        late = np.maximum(0.0, t - o.from_s)
        phase = 2 * math.pi * o.frequency_hz * (start_ns % 10**12 / 1e9 + np.arange(n) * self._pace.spacing_ns / 1e9)
        phase = phase + o.phase_rad
        if o.fault == "clock":
            phase = phase + o.rate * late
        elif o.fault == "jumps":
            phase = phase + 2.0 * (np.floor(late / 20.0) % 2)
        samples = np.cos(phase) + o.noise * self._rng.standard_normal(n)
        if o.fault == "stuck":
            samples = np.where(late > 0, 0.4, samples)
        return [Block("tone", start_ns, self._pace.spacing_ns, samples, gap=due.gap)]

    def close(self):
        pass
'''


def _halve_what_it_claims(node: NodeAgent) -> None:
    """Let a node say that its phases are twice as certain as they are."""
    inputs = node._inputs
    emit = inputs._emit

    def lie(identity: ChannelId, frame: PhaseFrame) -> None:
        emit(identity, PhaseFrame._make(frame._replace(phase_sigma=0.5 * frame.phase_sigma)))

    inputs._emit = lie


class Cell:
    """A cell of some nodes that see the same rhythm."""

    def __init__(
        self, folder: Path, nodes: int = 4, *, seed: int = 1, first: dict[str, Any] | None = None, liar: bool = False
    ) -> None:
        (folder / "faulty.py").write_text(FAULTY)
        self.bench = Bench(seed)
        hub = {"bands": BAND, "tick_hz": 5, "health_s": 3600, "witnessing": WITNESSING}
        self.bench.add_hub(HubConfig.model_validate(hub))
        for number in range(nodes):
            options = {"phase_rad": 0.7 * number, "seed": 100 * seed + number}
            if number == 0:
                options.update(first or {})
            node = self.bench.add_node(
                NodeConfig.model_validate(
                    {
                        "node": f"n{number}",
                        "bands": BAND,
                        "frames_per_s": 2,
                        "health_s": 3600,
                        "drop_in": str(folder),
                        "inputs": [{"name": "d", "kind": "faulty", "options": options}],
                        "clock": {"sigma_s": 1e-4},
                    }
                )
            )
            if number == 0 and liar:
                _halve_what_it_claims(node)
        self.begun_us = self.bench.scheduler.time_us()

    def run(self, seconds: float) -> None:
        self.bench.run_for(seconds)

    def events(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """Events of a kind: seconds after the start, and what they say."""
        topic = f"becomingone/home/event/{kind}"
        said = [json.loads(entry.payload) for entry in self.bench.broker.trace if entry.topic == topic]
        return [((content["time_us"] - self.begun_us) / 1e6, content) for content in said]

    def retained(self, topic: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.bench.broker.retained[f"becomingone/home/{topic}"])
        return content
