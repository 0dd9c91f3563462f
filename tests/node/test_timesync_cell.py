"""A whole cell in virtual time whose nodes' clocks are hours off, drift, and are set while it runs."""

from __future__ import annotations

from typing import Any

from becomingone.hub.config import HubConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated, walkers
from becomingone.sim.plan import FaultPlan
from becomingone.wire.frame import decode_frame

NODES = 3
SLOW_HUB = {"tick_hz": 5, "dispatch": {"rate_hz": 2}}


def way(mean_ms: float) -> dict[str, Any]:
    """Give a path's half: 0.5 ms at least, and what waits in queues."""
    return {"delay_ms": {"kind": "exponential", "least": 0.5, "mean": mean_ms}}


def plan(*faults: dict[str, Any], queue_ms: float = 0.3) -> FaultPlan:
    """Let the hub's clock be true and the nodes' be up to two hours off, ±50 ppm fast."""
    return FaultPlan.model_validate(
        {
            "network": {
                "paths": [
                    {"clients": ["hub"], "up": way(0.001), "down": way(0.001)},
                    {"up": way(queue_ms), "down": way(queue_ms)},
                ]
            },
            "clocks": [
                {"clients": ["hub"]},
                {
                    "offset_s": {"kind": "uniform", "low": -7200, "high": 7200},
                    "drift_ppm": {"kind": "uniform", "low": -50, "high": 50},
                },
            ],
            "faults": list(faults),
        }
    )


class Cell:
    def __init__(self, faults: FaultPlan, *, sealed: bool = True, seed: int = 3) -> None:
        self.bench = Bench(seed, faults=faults)
        hub, nodes = HubConfig.model_validate(SLOW_HUB), walkers(NODES, seed=seed)
        if sealed:
            hub, nodes = authenticated(hub, nodes, seed=seed)
        self.bench.add_hub(hub)
        for node in nodes:
            self.bench.add_node(node)

    def run(self, seconds: float) -> Cell:
        self.bench.run_for(seconds)
        return self

    def errors_s(self) -> list[float]:
        """Give each node's mesh time less true time, which is the hub's."""
        now = self.bench.scheduler
        true_ns = now.time_us() * 1_000 + now.monotonic_ns() % 1_000
        clocks = [ports.clock for ports in self.bench.ports.values()]
        return [(clock.mesh_ns(clock.monotonic_ns()) - true_ns) * 1e-9 for clock in clocks]

    def stride(self) -> dict[str, Any]:
        found: dict[str, Any] = self.bench.snapshot()["bands"]["stride"]
        return found


def test_in_an_open_cell_nodes_whose_clocks_are_hours_off_are_in_time_within_a_second() -> None:
    cell = Cell(plan(), sealed=False)
    assert max(map(abs, cell.errors_s())) > 600.0
    assert max(map(abs, cell.run(1.0).errors_s())) < 2e-3


def test_in_a_sealed_one_too_and_every_frame_tells_the_measured_uncertainty() -> None:
    cell = Cell(plan()).run(1.0)
    assert max(map(abs, cell.errors_s())) < 2e-3
    cell.run(39.0)
    for _ in range(20):
        cell.run(1.0)
        assert max(map(abs, cell.errors_s())) < 2e-4
    assert cell.stride()["channels"] == NODES
    sent = [
        decode_frame(entry.payload) for entry in cell.bench.broker.trace if "/phase/" in entry.topic and entry.payload
    ]
    late = [frame.clock_sigma_s for frame in sent[-20 * NODES :]]
    assert 1e-6 < min(late) <= max(late) < 2e-4
    assert len(set(late)) > 10


def test_a_cell_walks_on_while_clocks_are_set_and_the_hub_is_restarted() -> None:
    cell = Cell(
        plan(
            {"kind": "clock_step", "clients": ["n001"], "at_s": 31, "by_s": 3600},
            {"kind": "clock_step", "clients": ["n002"], "at_s": 33, "by_s": -3600},
            {"kind": "kill", "clients": ["hub"], "at_s": 40, "lasts_s": 3},
        )
    ).run(30.0)
    before = cell.stride()
    assert before["channels"] == NODES
    assert before["order"] > 0.8
    for _ in range(9):
        stride = cell.run(1.0).stride()
        assert stride["channels"] == NODES
        assert stride["order"] > 0.95 * before["order"]
        assert stride["coherence"] > 0.9 * before["coherence"]
        assert max(map(abs, cell.errors_s())) < 5e-4
    cell.run(2.0)
    assert cell.bench.hub is None
    for _ in range(30):
        cell.run(1.0)
        assert max(map(abs, cell.errors_s())) < 1e-3
    after = cell.stride()
    assert after["channels"] == NODES
    assert after["order"] > 0.95 * before["order"]
    assert after["coherence"] > 0.9 * before["coherence"]
    assert all(ports.clock.steps == 0 for ports in cell.bench.ports.values())
