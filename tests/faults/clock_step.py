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


def run(quick: bool) -> Outcome:
    """Three walkers with one pace; the clock of one is stepped every half minute, or is not, in the same run."""
    steps = 2 if quick else 20
    quiet, stepped = _walk(steps, step=False), _walk(steps, step=True)
    apart_ms = max(abs(one - other) for one, other in zip(quiet.errors_ms, stepped.errors_ms, strict=True))
    rad = 2e-3 * math.pi * STRIDE_HZ
    return Outcome(
        steps,
        [
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
    errors_ms: list[float]
    coherences: list[float]
    refused: int


def _walk(steps: int, *, step: bool) -> _Walk:
    delays = {"delay_ms": {"kind": "uniform", "low": 1.0, "high": 10.0}}
    plan = FaultPlan.model_validate({"network": {"paths": [{"up": delays, "down": delays}]}})
    bench = Bench(1, faults=plan, keep_trace=False)
    hub, nodes = authenticated(HubConfig.model_validate({}), walkers(NODES, seed=1), seed=1)
    bench.add_hub(hub)
    for node in nodes:
        bench.add_node(node)
    bench.run_for(60.0)
    found = _Walk([], [], 0)
    for number in range(steps):
        if step:
            bench._world.step_clock("becomingone.home.node.n001", STEPS_S[number % 2])
        for _ in range(60):
            bench.run_for(0.5)
            assert bench.hub is not None
            off_us = bench.nodes["n001"]._machine.clock.now_us() - bench.hub._clock.now_us()
            found.errors_ms.append(off_us * 1e-3)
            found.coherences.append(bench.snapshot()["bands"]["stride"]["coherence"])
    assert bench.hub is not None
    return found._replace(refused=bench.hub.refused.total())
