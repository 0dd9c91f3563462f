"""A fault plan at work: at its time, at its rate, to those who are meant, and over when it is over."""

import itertools
import statistics

import pytest

from becomingone.sim.chaos import Chaos, harmless
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.plan import FaultPlan, Network

CLIENTS = ["x.hub", "x.node.a", "x.node.b", "x.node.c"]


class Book:
    """Writes down what is done to it."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.lines = []
        self.broker = True
        self.dead = set()

    def _write(self, what, *which):
        self.lines.append((round(self.scheduler.monotonic_ns() / 1e9, 6), what, *which))

    def cut(self, client_id):
        self._write("cut", client_id)

    def lose(self, client_id):
        self._write("lose", client_id)

    def part(self, client_id):
        self._write("part", client_id)

    def join(self, client_id):
        self._write("join", client_id)

    def crash(self, *, persistent, silent):
        was, self.broker = self.broker, False
        if was:
            self._write("crash", persistent, silent)
        return was

    def restart(self):
        self.broker = True
        self._write("restart")

    def kill(self, client_id, *, silent):
        if client_id in self.dead:
            return False
        self.dead.add(client_id)
        self._write("kill", client_id, silent)
        return True

    def revive(self, client_id):
        self.dead.discard(client_id)
        self._write("revive", client_id)

    def step_clock(self, client_id, by_s):
        self._write("step", client_id, by_s)

    def rule(self, network):
        self._write("rule", network)


def at_work(faults, seconds, *, seed=1, clients=CLIENTS, **plan):
    scheduler = VirtualScheduler()
    book = Book(scheduler)
    chaos = Chaos(FaultPlan.model_validate({"faults": faults, **plan}), seed, scheduler=scheduler, world=book)
    for client_id in clients:
        chaos.adopt(client_id)
        chaos.adopt(client_id)  # a second life changes nothing
    scheduler.run_for(seconds)
    return book.lines


def test_what_has_its_time():
    lines = at_work(
        [
            {"kind": "cut", "at_s": 1, "clients": ["a", "x.node.b"]},
            {"kind": "half_open", "at_s": 2, "clients": ["hub"]},
            {"kind": "partition", "at_s": 3, "clients": ["?"], "lasts_s": 1.5},
            {"kind": "broker_crash", "at_s": 5, "lasts_s": 2, "persistent": 1},
            {"kind": "kill", "at_s": 8, "clients": ["c"], "lasts_s": 0.5, "silent": 1},
            {"kind": "clock_step", "at_s": 9, "clients": ["*.b"], "by_s": -3},
        ],
        20.0,
    )
    nodes = CLIENTS[1:]
    assert lines == [
        (1.0, "cut", "x.node.a"),
        (1.0, "cut", "x.node.b"),
        (2.0, "lose", "x.hub"),
        *((3.0, "part", node) for node in nodes),
        *((4.5, "join", node) for node in nodes),
        (5.0, "crash", True, False),
        (7.0, "restart"),
        (8.0, "kill", "x.node.c", True),
        (8.5, "revive", "x.node.c"),
        (9.0, "step", "x.node.b", -3.0),
    ]


def test_what_is_left_to_chance_comes_at_its_rate_and_exponentially():
    lines = at_work([{"kind": "cut", "every_s": 2.0, "clients": ["a"]}], 20_000.0)
    times = [line[0] for line in lines]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert len(times) == pytest.approx(10_000, rel=0.04)
    assert statistics.pstdev(waits) == pytest.approx(2.0, rel=0.05)
    assert {line[2] for line in lines} == {"x.node.a"}


def test_shares_and_chances():
    lines = at_work(
        [
            {"kind": "partition", "every_s": 10, "clients": ["?"], "lasts_s": 1, "share": 0.3},
            {"kind": "broker_crash", "every_s": 10, "lasts_s": 0.01, "persistent": 0.2, "silent": 0.7},
        ],
        50_000.0,
    )
    partitions = [line for line in lines if line[1] == "part"]
    assert len(partitions) == pytest.approx(5000 * 3 * 0.3, rel=0.08)
    together = len({line[0] for line in partitions})
    assert together == pytest.approx(5000 * (1 - 0.7**3), rel=0.08)  # each draws for itself
    crashes = [line for line in lines if line[1] == "crash"]
    assert len(crashes) == pytest.approx(5000, rel=0.06)
    assert statistics.fmean(line[2] for line in crashes) == pytest.approx(0.2, abs=0.02)
    assert statistics.fmean(line[3] for line in crashes) == pytest.approx(0.7, abs=0.02)


def test_the_dead_are_not_killed_and_a_broker_that_is_down_does_not_crash():
    lines = at_work(
        [
            {"kind": "kill", "every_s": 1, "clients": ["a"], "lasts_s": 3},
            {"kind": "broker_crash", "every_s": 1, "lasts_s": 3},
        ],
        200.0,
    )
    for first, second in (("kill", "revive"), ("crash", "restart")):
        words = [line[1] for line in lines if line[1] in (first, second)]
        assert words[:20] == [first, second] * 10


def test_at_the_end_everything_is_mended_once_and_nothing_more_happens():
    network = {"paths": [{"up": {"delay_ms": 7, "loss": 0.5, "corrupt": 0.5}}], "stall_s": 9}
    lines = at_work(
        [
            {"kind": "partition", "at_s": 1, "clients": ["a"], "lasts_s": 1000},
            {"kind": "kill", "at_s": 2, "clients": ["b"], "lasts_s": 1000},
            {"kind": "broker_crash", "at_s": 3, "lasts_s": 1000},
            {"kind": "cut", "every_s": 0.5, "clients": ["c"]},
        ],
        5000.0,
        until_s=10,
        network=network,
    )
    ends = [line for line in lines if line[1] in ("join", "revive", "restart", "rule")]
    assert [line[:2] for line in ends] == [(10.0, "join"), (10.0, "revive"), (10.0, "restart"), (10.0, "rule")]
    calm = ends[-1][2]
    assert calm == Network.model_validate({"paths": [{"up": {"delay_ms": 7}}], "stall_s": 9})
    cuts = [line[0] for line in lines if line[1] == "cut"]
    assert max(cuts) < 10
    assert len(cuts) > 5
    assert harmless(calm) == calm


def test_the_same_seed_the_same_faults_and_another_seed_others():
    faults = [
        {"kind": "cut", "every_s": 3},
        {"kind": "partition", "every_s": 5, "lasts_s": {"kind": "exponential", "mean": 2}, "share": 0.5},
        {"kind": "kill", "every_s": 9, "lasts_s": 1, "silent": 0.5},
    ]
    assert at_work(faults, 100.0) == at_work(faults, 100.0)
    assert at_work(faults, 100.0) != at_work(faults, 100.0, seed=2)


def test_one_more_node_changes_nothing_for_the_others():
    faults = [
        {"kind": "cut", "every_s": 3},
        {"kind": "partition", "every_s": 5, "lasts_s": {"kind": "exponential", "mean": 2}, "share": 0.5},
        {"kind": "kill", "every_s": 9, "lasts_s": 1, "silent": 0.5},
        {"kind": "clock_step", "at_s": 50, "clients": ["*"], "by_s": {"kind": "uniform", "low": -1, "high": 1}},
        {"kind": "broker_crash", "every_s": 20, "lasts_s": 1},
    ]
    few = at_work(faults, 200.0, clients=CLIENTS[:3])
    many = at_work(faults, 200.0, clients=["x.node.first", *CLIENTS])
    others = {"x.node.first", "x.node.c"}
    assert sorted(line for line in many if not others & set(line)) == sorted(few)
    assert len(many) > len(few) > 100
