"""Realignment end to end: the real hub asks, the real node obeys, and its evidence knows nothing of it."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import pytest

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated
from becomingone.sim.plan import FaultPlan
from becomingone.wire.oscillator import decode_oscillator

from .parts import MOTION, TOPICS

WALK_HZ: Final = 1.5
STRAY_HZ: Final = 1.6
NODES: Final = {"anna": 0.0, "ben": 0.3, "carl": 0.6, "stray": 2.5}
"""Each with the phase of its sensor, rad."""
SETTLED_S: Final = (3.6, 4.2)
"""After the request; with this coupling a realignment is given 4.24 s."""


def leg(frequency_hz: float, phase: float, seed: int) -> dict[str, Any]:
    options = {"frequency_hz": frequency_hz, "phase_rad": phase, "noise": 0.1, "rate_hz": 25, "floor": 0.05}
    return {"name": "leg", "kind": "synthetic", "bands": ["motion"], "options": {**options, "seed": seed}}


class Cell:
    """Three who move at one pace, one at another, and a hub that sends no sync frames: each follows its own sensor."""

    def __init__(self, *, realign: bool, sealed: bool = False) -> None:
        # Equal delays: what a command makes of a random network's next draw would show in the clock's uncertainty.
        path = {"up": {"delay_ms": 5.0}, "down": {"delay_ms": 5.0}}
        self.bench = Bench(11, faults=FaultPlan.model_validate({"network": {"paths": [path]}}))
        hub = HubConfig.model_validate({"sync": {"enabled": False, "realign": realign}})
        nodes = [
            NodeConfig.model_validate(
                {
                    "node": name,
                    "inputs": [leg(STRAY_HZ if name == "stray" else WALK_HZ, phase, number)],
                    "emissary": {"frames_per_s": 10.0 if name == "stray" else 1.0, "coupling": 0.4},
                }
            )
            for number, (name, phase) in enumerate(NODES.items())
        ]
        self.hub_config, configs = authenticated(hub, nodes, seed=11) if sealed else (hub, nodes)
        self.bench.add_hub(self.hub_config)
        for config in configs:
            self.bench.add_node(config)

    def payloads(self, level: str) -> list[tuple[str, bytes]]:
        return [(entry.topic, entry.payload) for entry in self.bench.broker.trace if f"/{level}/" in entry.topic]

    def told(self, level: str, node: str) -> list[dict[str, Any]]:
        prefix = f"{TOPICS.base}/node/{node}/{level}/"
        return [json.loads(body) for topic, body in self.payloads(level) if topic.startswith(prefix)]

    def until_asked(self) -> float:
        """Run until the stray has been asked to realign; give the seconds that this took."""
        for second in range(1, 61):
            self.bench.run_for(1.0)
            if self.masters()["realign"]["sent"]:
                return float(second)
        raise AssertionError(self.masters())

    def evidence(self, node: str) -> list[bytes]:
        return [body for topic, body in self.payloads("phase") if topic == TOPICS.phase(node, "motion", "tone")]

    def masters(self) -> dict[str, Any]:
        hub = self.bench.hub
        assert hub is not None
        found: dict[str, Any] = hub.parts.masters.figures()
        return found

    def events(self) -> list[dict[str, Any]]:
        topic = TOPICS.event("realign")
        return [json.loads(entry.payload) for entry in self.bench.broker.trace if entry.topic == topic]

    def error(self, event: dict[str, Any], since_s: float, until_s: float) -> list[float]:
        """How far the stray's control phase is from the target's line, rad, in these seconds after the request."""
        start_us = event["target_time_us"]
        found: list[float] = []
        for topic, body in self.payloads("oscillator"):
            if topic == TOPICS.node("stray", "oscillator", "motion"):
                frame = decode_oscillator(body)
                seconds = (frame.time_us - start_us) * 1e-6
                if since_s <= seconds < until_s:
                    target = event["target_phase"] + event["omega"] * seconds
                    found.append(abs(math.remainder(frame.phase - target, math.tau)))
        return found


@pytest.mark.parametrize(
    "sealed", [pytest.param(False, id="open"), pytest.param(True, id="sealed", marks=pytest.mark.slow)]
)
def test_who_is_out_of_step_is_realigned_as_control_and_as_evidence_stays_what_it_is(sealed: bool) -> None:
    asked, left = Cell(realign=True, sealed=sealed), Cell(realign=False, sealed=sealed)
    seconds = asked.until_asked() + 5.0
    asked.bench.run_for(5.0)
    left.bench.run_for(seconds)
    assert left.events() == []
    assert left.told("reply", "stray") == []
    (event,) = asked.events()
    assert (event["node"], event["reason"]) == ("stray", "incoherent")
    assert event["simple"] == "proceed"  # the documents' own form sees two steady rhythms, and no difference
    replies = asked.told("reply", "stray")
    assert {(reply["verb"], reply["result"]) for reply in replies} == {("realign", "done")}
    before, settled = asked.error(event, -2.0, 0.0), asked.error(event, *SETTLED_S)
    alone = left.error(event, *SETTLED_S)
    print(f"control phase off by {max(before):.3f} rad before, {max(settled):.4f} after, {min(alone):.3f} unasked")
    assert min(before) > 0.2
    assert len(settled) >= 5
    assert max(settled) < 0.05
    assert min(alone) > 0.2
    for name in NODES:
        evidence = asked.evidence(name)
        assert len(evidence) > 100
        assert evidence == left.evidence(name)


@pytest.mark.slow
def test_a_hub_that_starts_again_has_its_master_back_after_two_lags() -> None:
    cell = Cell(realign=True)
    cell.until_asked()
    before = cell.masters()["bands"]["motion"]["master"]
    cell.bench.add_hub(cell.hub_config)  # killed, and started again: it remembers nothing
    back_s: float | None = None
    for second in range(1, 16):
        cell.bench.run_for(1.0)
        master = cell.masters()["bands"]["motion"].get("master")
        if back_s is None and master is not None and master["resonance"] is not None:
            back_s = second
    after = cell.masters()["bands"]["motion"]["master"]
    print(f"T is back {back_s} s after the start; N {before['n_eff']} before, {after['n_eff']} after 15 s")
    assert back_s is not None
    assert back_s <= 3 * MOTION.lag_s
    assert after["n_eff"] > 2.0
    assert after["resonance"] == pytest.approx(before["resonance"], abs=0.1)
