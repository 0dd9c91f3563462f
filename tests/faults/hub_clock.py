"""The hub's system clock is set by an hour, forwards and back, while nodes keep what it commits."""

from __future__ import annotations

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated

from .end_to_end_simulated import NotedStore
from .outcome import Outcome, at_least, at_most, exactly, told
from .tally import tally

HUB = "becomingone.home.hub"
STEPS_S = (3600.0, -3600.0, -3600.0, 3600.0)
INPUT = {"name": "leg", "kind": "synthetic", "bands": ["stride"], "keep": True}
RATE = {"frequency_hz": 0.784, "rate_hz": 10}


def run(quick: bool) -> Outcome:
    """Every second step is followed by a restart of the hub, whose clock is then the one that has been set."""
    steps = 4 if quick else 40
    bench = Bench(1, keep_trace=False)
    store = NotedStore("n")
    bench._stores["n"] = store
    node = NodeConfig.model_validate({"node": "n", "inputs": [{**INPUT, "options": RATE}]})
    hub, nodes = authenticated(HubConfig.model_validate({}), [node], seed=1)
    bench.add_hub(hub)
    bench.add_node(nodes[0])
    bench.run_for(20.0)
    off_s: list[float] = []
    slowest_s = 0.0
    for number in range(steps):
        bench._world.step_clock(HUB, STEPS_S[number % len(STEPS_S)])
        if number % 2:
            bench.add_hub(hub)
        before, waited_s = len(bench.memory.records), 0.0
        while len(bench.memory.records) <= before + 5 and waited_s < 60.0:
            bench.run_for(0.5)
            waited_s += 0.5
        slowest_s = max(slowest_s, waited_s)
        bench.run_for(15.0)
        off_s.append((bench._world._clocks[HUB].time_us() - bench.scheduler.time_us()) / 1e6)
    bench.run_for(30.0)
    records = list(bench.memory.records.values())
    found = tally(store.made, ((one.stream, one.seq, one.frame) for one in records), store.waiting())
    entries = [entry for kind in bench.memory.summary() if kind != "frame" for entry in bench.memory.told[kind]]
    return Outcome(
        steps,
        [
            at_least("the hub's clock off meanwhile, max", max(map(abs, off_s)), 3599.0, "s"),
            exactly("lost kept frames", found.lost, 0),
            exactly("twice in the memory", found.twice, 0),
            exactly("not as their node made them", found.altered, 0),
            exactly("committed before an earlier one", found.disordered, 0),
            at_most("not committed at the end", found.waiting, 20, "frames"),
            at_most("frames are committed again after a step, max", slowest_s, 10.0, "s"),
            told("committed", found.committed, "frames"),
            told("other entries", len(entries)),
        ],
        simulation=True,
    )
