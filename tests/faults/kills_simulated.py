"""Broker, hub and node are killed at random in virtual time, often and for long."""

from __future__ import annotations

from itertools import pairwise

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated
from becomingone.sim.plan import FaultPlan
from becomingone.wire.frame import decode_frame

from .outcome import Outcome, at_most, exactly, quantile, told

LEG = {"name": "leg", "kind": "synthetic", "bands": ["stride"], "options": {"frequency_hz": 0.784, "rate_hz": 10}}


class Kept:
    """What has become of the frames of a simulated cell's only node, ``n``, which keeps all of them."""

    def __init__(self, bench: Bench) -> None:
        store = bench._stores["n"]
        self.committed: dict[int, list[int]] = {}
        times: set[int] = set()
        self.twice = 0
        for (stream, seq), record in bench.memory.records.items():  # in the order of their commits
            self.committed.setdefault(stream.boot, []).append(seq)
            frame = decode_frame(record.frame)
            self.twice += frame.time_us in times
            times.add(frame.time_us)
        self.waiting: dict[int, set[int]] = {}
        for name in store.streams():
            seq = -1
            while (entry := store.next(name, seq)) is not None:
                seq = entry.seq
                self.waiting.setdefault(name[1], set()).add(seq)
        self.written_twice = bench.memory.writes - len(bench.memory.records)

    @property
    def disordered(self) -> int:
        return sum(later <= earlier for seqs in self.committed.values() for earlier, later in pairwise(seqs))

    def lost(self, made: dict[int, int]) -> int:
        """Count what is nowhere, of so many frames by boot."""
        return sum(
            len(set(range(number)) - set(self.committed.get(boot, ())) - self.waiting.get(boot, set()))
            for boot, number in made.items()
        )


def cell(seed: int, plan: FaultPlan, **fields: object) -> Bench:
    bench = Bench(seed, faults=plan, keep_trace=False)
    node = {"node": "n", "inputs": [{**LEG, "keep": True}], **fields}
    hub, nodes = authenticated(HubConfig.model_validate({}), [NodeConfig.model_validate(node)], seed=seed)
    bench.add_hub(hub)
    bench.add_node(nodes[0])
    return bench


def made(bench: Bench) -> dict[int, int]:
    """Give how many frames each life of the node has kept."""
    return {boot: agent._kept for boot, agent in enumerate(bench.agents, 1)}  # no other node is ever made


def run(quick: bool) -> Outcome:
    duration_s = 400.0 if quick else 3600.0
    soon = {"kind": "exponential", "mean": 4.0}
    faults = [
        {"kind": "kill", "clients": ["n"], "every_s": 25, "lasts_s": soon, "silent": 0.3},
        {"kind": "kill", "clients": ["hub"], "every_s": 25, "lasts_s": soon, "silent": 0.3},
        {"kind": "broker_crash", "every_s": 25, "lasts_s": soon, "persistent": 0.5, "silent": 0.3},
        {"kind": "cut", "every_s": 40},
        {"kind": "half_open", "every_s": 60},
    ]
    way = {"loss": 0.05, "duplicate": 0.05, "reorder": 0.02, "corrupt": 0.01}
    content = {"faults": faults, "until_s": duration_s, "network": {"paths": [{"up": way, "down": way}]}}
    bench = cell(1, FaultPlan.model_validate(content))
    struck = {"kill": 0, "broker crash": 0}

    def note(kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        if kind == "fault" and why in struck:
            struck[why] += 1

    bench._log_note = note
    bench.run_for(duration_s + 180.0)  # the end of all faults, and time to catch up
    kept, frames = Kept(bench), made(bench)
    return Outcome(
        struck["kill"] + struck["broker crash"],
        [
            exactly("lost kept frames", kept.lost(frames), 0),
            exactly("twice in the memory", kept.twice, 0),
            exactly("written there a second time", kept.written_twice, 0),
            exactly("committed before an earlier one", kept.disordered, 0),
            at_most("not committed 3 min after the last", sum(map(len, kept.waiting.values())), 100, "frames"),
            told("kept", sum(frames.values()), "frames"),
            told("kills of node and hub", struck["kill"]),
            told("kills of the broker", struck["broker crash"]),
        ],
        simulation=True,
    )


def live_frames(bench: Bench) -> int:
    """Give how many frames the present hub has taken into its live state."""
    return bench.hub._intake.ingest.frames if bench.hub is not None else 0


def partition(quick: bool) -> Outcome:
    """The network between a node and the broker lets nothing through for 30 s."""
    cuts = 4 if quick else 30
    way = {"delay_ms": {"kind": "uniform", "low": 5.0, "high": 50.0}, "loss": 0.02}
    back: list[float] = []
    gone = twice = disordered = 0
    for seed in range(cuts):
        live = {**LEG, "name": "other", "prefix": "other_"}
        plan = FaultPlan.model_validate({"network": {"paths": [{"up": way, "down": way}]}})
        bench = cell(seed, plan, inputs=[{**LEG, "keep": True}, live])
        bench.run_for(20.0 + seed * 0.037)
        client = "becomingone.home.node.n"
        bench._world.part(client)
        bench.run_for(30.0)
        bench._world.join(client)
        healed, before = bench.scheduler.monotonic_ns(), live_frames(bench)
        while live_frames(bench) <= before and bench.scheduler.monotonic_ns() < healed + 60e9:
            bench.run_for(0.02)
        back.append((bench.scheduler.monotonic_ns() - healed) / 1e9)
        bench.run_for(60.0)
        kept = Kept(bench)
        gone += kept.lost(made(bench))
        twice += kept.twice
        disordered += kept.disordered
    return Outcome(
        cuts,
        [
            exactly("lost kept frames", gone, 0),
            exactly("twice in the memory", twice, 0),
            exactly("committed before an earlier one", disordered, 0),
            told("live frames at the hub after, p50", quantile(back, 0.5), "s"),
            at_most("live frames at the hub after, p99", quantile(back, 0.99), 2.0, "s"),
        ],
        simulation=True,
    )
