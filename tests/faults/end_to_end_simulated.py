"""A million kept frames through a thousand kills of node, hub and broker, in virtual time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator

from becomingone.broker.kept_store import Gone, Kept, MemoryStore
from becomingone.hub.config import HubConfig
from becomingone.hub.memory.protocol import StreamKey
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated
from becomingone.sim.plan import FaultPlan

from .outcome import Outcome, at_least, at_most, exactly, told
from .tally import Tally, digest, tally

NODES = 8
CHANNELS = 2
FRAMES_PER_S = 25
STRUCK_S = 330.0
"""Seconds of faults in each of the cells."""

QUIET_S = 40.0
"""And to catch up."""

_FOR = {"kind": "exponential", "mean": 2.0}
FAULTS = [
    {"kind": "kill", "clients": ["*.node.*"], "every_s": 40.0, "lasts_s": _FOR, "silent": 0.3},
    {"kind": "kill", "clients": ["*.hub"], "every_s": 6.0, "lasts_s": _FOR, "silent": 0.3},
    {"kind": "broker_crash", "every_s": 6.0, "lasts_s": _FOR, "persistent": 0.5, "silent": 0.3},
    {"kind": "cut", "every_s": 100.0},
    {"kind": "half_open", "every_s": 300.0},
]
WAY = {"loss": 0.02, "duplicate": 0.02, "reorder": 0.02, "corrupt": 0.005}


class NotedStore(MemoryStore):
    """A node's disk that notes what is put on it."""

    def __init__(self, node: str) -> None:
        super().__init__(1 << 28)
        self.node = node
        self.made: dict[StreamKey, list[bytes]] = defaultdict(list)
        self.gone = 0

    def append(self, entry: Kept) -> list[Gone]:
        noted = self.made[self.key(entry)]
        assert entry.seq == len(noted), "the numbers of a life have a hole"
        noted.append(digest(entry.payload))
        gone = super().append(entry)
        self.gone += sum(one.count for one in gone)
        return gone

    def key(self, entry: Kept) -> StreamKey:
        band, _, channel = entry.stream[0].partition("/")
        return StreamKey(self.node, band, channel, entry.stream[1])

    def waiting(self) -> Iterator[tuple[StreamKey, int, bytes]]:
        for stream in self.streams():
            seq = -1
            while (entry := self.next(stream, seq)) is not None:
                seq = entry.seq
                yield self.key(entry), seq, entry.payload


class Struck:
    """One cell's run.

    Attributes
    ----------
    tally : Tally
        What has become of its frames.
    kills, broker_kills : int
        How often a node or the hub, and the broker.
    written_twice, gone, same_time : int
        Frames that were handed to the memory a second time, that had to make room, that have the time of another.
    """

    def __init__(self, seed: int, struck_s: float, quiet_s: float = QUIET_S) -> None:
        content = {"faults": FAULTS, "until_s": struck_s, "network": {"paths": [{"up": WAY, "down": WAY}]}}
        bench = Bench(seed, faults=FaultPlan.model_validate(content), keep_trace=False)
        names = [f"n{number}" for number in range(NODES)]
        stores = {name: NotedStore(name) for name in names}
        bench._stores.update(stores)
        hub, nodes = authenticated(HubConfig.model_validate({}), [_node(name) for name in names], seed=seed)
        self.kills = self.broker_kills = 0
        bench._log_note = self._note
        bench.add_hub(hub)
        for node in nodes:
            bench.add_node(node)
        bench.run_for(struck_s + quiet_s)
        made = {stream: digests for store in stores.values() for stream, digests in store.made.items()}
        records = bench.memory.records.values()
        self.tally = tally(
            made,
            ((record.stream, record.seq, record.frame) for record in records),
            (one for store in stores.values() for one in store.waiting()),
        )
        self.gone = sum(store.gone for store in stores.values())
        self.written_twice = bench.memory.writes - len(records)
        self.same_time = len(records) - len({(*record.stream[:3], record.time_us) for record in records})

    def _note(self, kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        if kind == "fault":
            self.kills += why == "kill"
            self.broker_kills += why == "broker crash"


def _node(name: str) -> NodeConfig:
    options = {"frequency_hz": 0.784, "rate_hz": FRAMES_PER_S, "noise": 0.1}
    inputs = [
        {"name": f"leg{number}", "prefix": f"leg{number}_", "kind": "synthetic", "bands": ["stride"], "keep": True,
         "options": options}
        for number in range(CHANNELS)
    ]  # fmt: skip
    content = {"node": name, "frames_per_s": FRAMES_PER_S, "inputs": inputs, "spool": {"late_per_s": 1000}}
    return NodeConfig.model_validate(content)


def run(quick: bool) -> Outcome:
    """Cells of their own, one after the other, until there are enough frames and kills."""
    frames, most_kills = (100_000, 100) if quick else (1_000_000, 1_000)
    whole = Tally()
    kills = broker_kills = written_twice = gone = same_time = cells = 0
    began = time.process_time()
    while whole.made < frames or kills + broker_kills < most_kills:
        cells += 1
        one = Struck(cells, STRUCK_S)
        whole.add(one.tally)
        kills += one.kills
        broker_kills += one.broker_kills
        written_twice += one.written_twice
        gone += one.gone
        same_time += one.same_time
    took_s = time.process_time() - began
    return Outcome(
        kills + broker_kills,
        [
            exactly("lost kept frames", whole.lost, 0),
            exactly("twice in the memory", whole.twice + same_time, 0),
            exactly("written there a second time", written_twice, 0),
            exactly("not as their node made it", whole.altered, 0),
            exactly("committed before an earlier one", whole.disordered, 0),
            exactly("frames that had to make room", gone, 0),
            at_most("not committed at the end", whole.waiting, 0.001 * whole.made, "frames"),
            at_least("kept", whole.made, frames, "frames"),
            told("committed", whole.committed, "frames"),
            at_least("kills in all", kills + broker_kills, most_kills),
            told("kills of node and hub", kills),
            told("kills of the broker", broker_kills),
            told("cells, one after the other", cells),
            told("processor's time", took_s, "s"),
            told("of it for each frame", 1e6 * took_s / whole.made, "µs"),
        ],
        simulation=True,
    )
