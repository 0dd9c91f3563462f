"""From a node's spool to the hub's disk: once each, in order, whatever is killed on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from becomingone.hub.config import HubConfig
from becomingone.hub.intake.kept import MOST_ANNOUNCING
from becomingone.hub.memory.protocol import Committed, Record, StreamKey
from becomingone.hub.memory.volatile import VolatileMemory
from becomingone.node.config import NodeConfig
from becomingone.scheduling import Scheduler
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated
from becomingone.sim.plan import FaultPlan, load_plan
from becomingone.wire.ack import Ack, Stream, encode_ack
from becomingone.wire.frame import Flags, decode_frame, encode_frame
from becomingone.wire.kept import OldestKept, encode_kept

BASE = "becomingone/home"
LEG = {"name": "leg", "kind": "synthetic", "bands": ["stride"], "options": {"frequency_hz": 0.78, "rate_hz": 50}}
NODE = {"node": "n", "health_s": 2, "inputs": [{**LEG, "keep": True}]}


def cell(seed: int = 1, *, sealed: bool = True, faults: FaultPlan | None = None, **fields: Any) -> Bench:
    bench = Bench(seed, faults=faults)
    hub, nodes = HubConfig.model_validate({}), [NodeConfig.model_validate({**NODE, **fields})]
    if sealed:
        hub, nodes = authenticated(hub, nodes, seed=seed)
    bench.add_hub(hub)
    bench.add_node(nodes[0])
    return bench


def restart(bench: Bench, name: str) -> None:
    bench.scheduler.post(lambda: bench._world.revive(f"becomingone.home.{'hub' if name == 'hub' else f'node.{name}'}"))


def health(bench: Bench) -> Mapping[str, Any]:
    content: dict[str, Any] = json.loads(bench.broker.retained[f"{BASE}/node/n/health"])
    return content


def committed(bench: Bench) -> dict[int, list[int]]:
    """Give the numbers of all committed frames by boot, in the order of their commits."""
    numbers: dict[int, list[int]] = {}
    for stream, seq in bench.memory.records:
        numbers.setdefault(stream.boot, []).append(seq)
    return numbers


@pytest.mark.parametrize("sealed", [True, False])
def test_every_kept_frame_is_committed_once_and_then_let_go_by_its_node(sealed: bool) -> None:
    bench = cell(sealed=sealed)
    bench.run_for(20.0)
    (numbers,) = committed(bench).values()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 180
    assert health(bench)["kept"] <= 10  # what the next commit will hold
    assert bench.snapshot()["kept"]["lost"] == 0
    assert bench.snapshot()["frames"] > 150  # and it is live as well


def test_a_channel_that_is_not_kept_is_not_committed() -> None:
    bench = cell(inputs=[LEG])
    bench.run_for(10.0)
    assert bench.snapshot()["frames"] > 50
    assert bench.memory.records == {}


def test_what_was_recorded_while_the_hub_was_away_reaches_the_memory_and_not_the_live_state() -> None:
    bench = cell()
    bench.run_for(5.0)
    bench.kill("hub")
    bench.run_for(30.0)
    restart(bench, "hub")
    bench.run_for(15.0)
    (numbers,) = committed(bench).values()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 480
    late = [record for record in bench.memory.records.values() if decode_frame(record.frame).flags & Flags.HISTORICAL]
    assert len(late) > 250
    snapshot = bench.snapshot()
    assert snapshot["frames"] < 200  # of the second hub's life: not one of the late ones
    assert snapshot["refused"] == {}


def test_an_earlier_life_s_frames_are_committed_as_its_own() -> None:
    bench = cell()
    bench.run_for(5.0)
    bench.kill("hub")
    bench.run_for(5.0)
    bench.kill("n")
    bench.run_for(1.0)
    restart(bench, "n")
    bench.run_for(5.0)
    restart(bench, "hub")
    bench.run_for(15.0)
    numbers = committed(bench)
    assert sorted(numbers) == [1, 2]
    assert all(seqs == list(range(len(seqs))) for seqs in numbers.values())
    assert len(numbers[1]) > 90
    assert set(bench.snapshot()["refused"]) <= {"before_start"}  # not late enough, and too old for the new hub


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("plan", ["crashes", "storm"])
def test_whatever_breaks_nothing_is_lost_and_nothing_is_there_twice(seed: int, plan: str) -> None:
    bench = cell(seed, faults=load_plan(plan, environ={}))
    bench.run_for(120.0)
    kept = len(bench._stores["n"])
    numbers = committed(bench)
    assert all(seqs == list(range(len(seqs))) for seqs in numbers.values())
    assert len(bench.memory.records) == bench.memory.writes  # none was even written twice
    waiting = {name: bench._stores["n"].next(name, -1) for name in bench._stores["n"].streams()}
    for (_, boot), first in waiting.items():
        assert first is None or first.seq <= len(numbers.get(boot, []))  # no hole between disk and disk
    assert len(bench.memory.records) + kept > 300


class Full(VolatileMemory):
    """A disk that is full for a while."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self.full = True

    def commit(self, records: list[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:  # type: ignore[override]
        if self.full:
            done(None)
        else:
            super().commit(records, marks, done)


def test_while_the_hub_s_disk_is_full_the_nodes_keep_what_they_have() -> None:
    bench = Bench(1)
    disk = Full(bench.scheduler)
    bench.memory = disk
    bench.add_hub(HubConfig.model_validate({}))
    bench.add_node(NodeConfig.model_validate(NODE))
    bench.run_for(20.0)
    assert disk.records == {}
    assert bench.snapshot()["kept"]["failed"] > 0
    assert health(bench)["kept"] > 150
    disk.full = False
    bench.run_for(90.0)
    (numbers,) = committed(bench).values()
    assert numbers == list(range(len(numbers)))
    assert health(bench)["kept"] <= 10


def test_a_forged_word_of_what_is_kept_loses_nothing() -> None:
    bench = cell()
    bench.run_for(5.0)
    stranger = bench.client("stranger")
    stranger.start()
    bench.run_for(0.1)
    oldest = OldestKept(boot=1, seq=1 << 40, oldest={Stream(1, "stride", "tone"): 1 << 30})
    ack = Ack(boot=9, seq=0, committed={Stream(1, "stride", "tone"): 1 << 30})
    for _ in range(5):
        stranger.publish(f"{BASE}/node/n/kept", encode_kept(oldest), qos=1)
        stranger.publish(f"{BASE}/ack/n", encode_ack(ack), qos=1)
    bench.run_for(10.0)
    (numbers,) = committed(bench).values()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 130
    assert bench.snapshot()["kept"]["lost"] == 0
    assert bench.snapshot()["refused"]["unsealed"] == 5
    assert health(bench)["refused_commands"]["unsealed"] == 5


def test_what_had_no_room_on_the_node_is_waited_for_by_nobody() -> None:
    bench = cell(spool={"max_mb": 1})
    bench._stores["n"]._most_bytes = 10_000  # some eighty frames
    bench.run_for(5.0)
    bench.kill("hub")
    bench.run_for(60.0)
    restart(bench, "hub")
    bench.run_for(30.0)
    kept = bench.snapshot()["kept"]
    assert kept["lost"] > 300
    assert health(bench)["kept_lost"] > 300
    (numbers,) = committed(bench).values()
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 850  # it goes on after the hole
    assert health(bench)["kept"] <= 10


def test_what_was_recorded_before_the_node_knew_the_time_is_committed_with_the_right_one() -> None:
    faults = FaultPlan.model_validate({"clocks": [{"clients": ["n"], "offset_s": -7200}]})
    bench = Bench(1, faults=faults)
    bench.add_node(NodeConfig.model_validate(NODE))  # without a hub for a while, and two hours behind
    bench.run_for(5.0)
    bench.add_hub(HubConfig.model_validate({}))
    bench.run_for(15.0)
    records = list(bench.memory.records.values())
    assert len(records) > 150
    end_us = bench.scheduler.time_us()
    wrong = [record for record in records if abs(record.time_us - (end_us - 10e6)) > 11e6]
    assert len(wrong) <= 5  # what was sent before the first answer to the question for the time


def test_a_number_that_cannot_be_committed_is_refused_and_holds_up_nobody() -> None:
    bench = cell(sealed=False)
    bench.run_for(5.0)
    stranger = bench.client("stranger")
    stranger.start()
    bench.run_for(0.1)
    stream, seq = Stream(1, "stride", "other"), 1 << 63
    stranger.publish(f"{BASE}/node/n/kept", encode_kept(OldestKept(boot=1, seq=1 << 40, oldest={stream: seq})), qos=1)
    frame = decode_frame(next(iter(bench.memory.records.values())).frame)
    late = encode_frame(frame._replace(seq=seq, flags=frame.flags | Flags.HISTORICAL))
    stranger.publish(f"{BASE}/node/n/phase/stride/other", late, qos=1)
    bench.run_for(10.0)
    assert bench.snapshot()["nodes"]["n"]["refused"]["range"] == 1
    assert {stream.channel for stream, _ in bench.memory.records} == {"tone"}
    assert len(bench.memory.records) > 130


def test_announcements_under_any_number_of_names_take_a_bounded_room() -> None:
    bench = cell(sealed=False)
    bench.run_for(1.0)
    stranger = bench.client("stranger")
    stranger.start()
    bench.run_for(0.1)
    payload = encode_kept(OldestKept(boot=1, seq=0, oldest={Stream(1, "stride", "tone"): 0}))
    for number in range(MOST_ANNOUNCING + 1_000):
        stranger.publish(f"{BASE}/node/x{number}/kept", payload)
        if not number % 100:
            bench.run_for(0.05)
    bench.run_for(1.0)
    assert bench.hub is not None
    assert bench.hub._intake.kept is not None
    assert len(bench.hub._intake.kept._orders) == MOST_ANNOUNCING


def test_what_waits_for_the_time_goes_when_nobody_tells_it() -> None:
    bench = Bench(1)
    bench.add_node(NodeConfig.model_validate(NODE))
    bench.run_for(20.0)
    bench.kill("n")
    hub = bench.add_hub(HubConfig.model_validate({}))
    hub._clock_server._may = lambda *_: False  # type: ignore[method-assign] - a hub that answers no ping
    bench.run_for(1.0)
    bench.add_node(NodeConfig.model_validate({**NODE, "inputs": []}))  # and no sensor that would set anything going
    bench.run_for(60.0)
    (numbers,) = committed(bench).values()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 180
    assert health(bench)["kept"] == 0
