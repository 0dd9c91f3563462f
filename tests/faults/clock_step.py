"""A node's system clock is set by an hour, forwards and back."""

from __future__ import annotations

import math
from typing import NamedTuple

from becomingone.hub.config import HubConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import STRIDE_HZ, authenticated, walkers
from becomingone.sim.plan import FaultPlan

from .outcome import Outcome, at_least, at_most, exactly, told

STEPS_S = (3600.0, -3600.0)
NODES = 3
STEPPED = ("becomingone.home.node.n001", "becomingone.home.hub")


def run(quick: bool) -> Outcome:
    """Three walkers with one pace; the clocks of one and of the hub are set again and again, or not, in one run."""
    steps = 2 if quick else 20
    every_s = 5.0 if quick else 30.0
    quiet, stepped = _walk(steps, every_s, step=False), _walk(steps, every_s, step=True)
    apart_ms = max(abs(one - other) for one, other in zip(quiet.errors_ms, stepped.errors_ms, strict=True))
    rad = 2e-3 * math.pi * STRIDE_HZ
    return Outcome(
        steps,
        [
            at_least("system clock off meanwhile, max", max(map(abs, stepped.moved_s)), 3599.0, "s"),
            told("mesh time off without a step, max", max(map(abs, quiet.errors_ms)), "ms"),
            told("mesh time off with steps, max", max(map(abs, stepped.errors_ms)), "ms"),
            at_most("difference between the two, max", apart_ms, 0.01, "ms"),
            at_most("phase error that this is", rad * apart_ms, 1e-4, "rad"),
            told("coherence without a step, min", min(quiet.coherences)),
            at_least("coherence with steps, min", min(stepped.coherences), min(quiet.coherences) - 0.001),
            exactly("frames refused", stepped.refused, 0),
        ],
        simulation=True,
    )


class _Walk(NamedTuple):
    moved_s: list[float]
    errors_ms: list[float]
    coherences: list[float]
    refused: int


def _walk(steps: int, every_s: float, *, step: bool) -> _Walk:
    delays = {"delay_ms": {"kind": "uniform", "low": 1.0, "high": 10.0}}
    plan = FaultPlan.model_validate({"network": {"paths": [{"up": delays, "down": delays}]}})
    bench = Bench(1, faults=plan, keep_trace=False)
    hub, nodes = authenticated(HubConfig.model_validate({}), walkers(NODES, seed=1), seed=1)
    bench.add_hub(hub)
    for node in nodes:
        bench.add_node(node)
    bench.run_for(30.0)
    found = _Walk([], [], [], 0)
    for number in range(steps):
        if step:
            for client in STEPPED:
                bench._world.step_clock(client, STEPS_S[number % 2])
        for _ in range(round(2 * every_s)):
            bench.run_for(0.5)
            assert bench.hub is not None
            off_us = bench.nodes["n001"]._machine.clock.now_us() - bench.hub._clock.now_us()
            moved_us = bench._world._clocks[STEPPED[0]].time_us() - bench.scheduler.time_us()
            found.moved_s.append(moved_us * 1e-6)
            found.errors_ms.append(off_us * 1e-3)
            found.coherences.append(bench.snapshot()["bands"]["stride"]["coherence"])
    assert bench.hub is not None
    return found._replace(refused=bench.hub.refused.total())
