"""Cells within cells: sums handed up, taken, merged exactly; loops, doubles, forgeries and stale ones refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.broker.link import Message
from becomingone.errors import ConfigError, FrameError, TopicError
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.machine import HubMachine
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.hub.relay.child_member import as_member
from becomingone.hub.relay.children import Children
from becomingone.hub.relay.relay import Relay
from becomingone.hub.service import Hub
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.node.config import NodeConfig
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.wire.aggregate import AggregateFrame, cell_id, decode_aggregate, encode_aggregate
from becomingone.wire.announce import State
from becomingone.wire.frame import Flags
from becomingone.wire.replay import Start
from becomingone.wire.seal import node_key, seal
from becomingone.wire.topics import Topics

from .parts import NOW_NS, NOW_US, STRIDE, UNIFORM, frame

SECRET = bytes(range(32))
BANDS = {"stride": {"frequency_hz": 0.78, "tau_s": 1.0}, "motion": {"frequency_hz": 1.5, "tau_s": 0.5}}


class At:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.us = NOW_US

    def now_us(self) -> int:
        return self.us

    def monotonic_ns(self) -> int:
        return NOW_NS + (self.us - NOW_US) * 1000


class Wire:
    """A link that keeps what is published."""

    connected = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes, **_options: Any) -> bool:
        self.sent.append((topic, payload))
        return True


class Cell:
    """A cell's table, evaluator, children and relay, without a hub around them."""

    def __init__(self, name: str, *, children: tuple[str, ...] = (), sealed: bool = False, **config: Any) -> None:
        self.clock, self.link = At(), Wire()
        sections = {child: config.pop(child, {}) for child in children}
        self.config = HubConfig.model_validate({"cell": name, "bands": BANDS, "children": sections, **config})
        self.table, self.roster = ChannelTable(), Roster()
        self.refused: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        start = Start(NOW_US - 60_000_000, 1.0)
        self.trust = Trust(SECRET if sealed else None, root="becomingone", cell=name, start=start)
        self.topics = Topics("becomingone", name)
        self.children = Children(
            self.config.children,
            self.topics,
            self.config.band_plan(),
            self.roster,
            self.table,
            trust=self.trust,
            clock=self.clock,  # type: ignore[arg-type]
            refuse=self._refuse,
            tell=lambda kind, content: self.events.append((kind, content)),
        )
        self.evaluator = MeshEvaluator(self.config, self.table)
        self.relay = Relay.of(
            self.config,
            1,
            self.table,
            children=self.children,
            link=self.link,
            links=None,  # type: ignore[arg-type]
        )

    def _refuse(self, _message: Message, error: FrameError | TopicError) -> None:
        self.refused.append(error.reason if isinstance(error, FrameError) else "topic")

    def fill(self, nodes: int, *, seed: int, channels: int = 2) -> None:
        """Put nodes into the table as if their frames had come."""
        rng = np.random.default_rng(seed)
        for number in range(nodes):
            member = self.roster.enrol(f"{self.config.cell}-{number}", NOW_NS)
            for channel in range(channels):
                for band, section in enumerate(self.config.band_plan()):
                    row = self.table.row(
                        RowKey(member.id, section.name, f"c{channel}"),
                        node=member.number,
                        band=band,
                        max_age_s=5.0,
                        capability=float(rng.uniform(0.5, 2.0)),
                    )
                    given = frame(
                        float(rng.uniform(-1, 1)),
                        time_us=NOW_US - int(rng.integers(0, 200_000)),
                        coherence=float(rng.uniform(0.2, 1.0)),
                        omega=section.omega * float(rng.uniform(0.98, 1.02)),
                        phase_sigma=0.1,
                    )
                    self.table.store(row, given)

    def tick(self, us: int = NOW_US) -> Any:
        self.clock.us = us
        state = self.evaluator.evaluate(us)
        self.children.take(state)
        if self.relay is not None:
            self.relay.take(state)
        return state

    def take(self, child: str, payload: bytes, *, retained: bool = False) -> str | None:
        """Take an aggregate; give why it is refused."""
        before = len(self.refused)
        self.children._take(Message(self.topics.aggregate(child), payload, retained))
        return self.refused[-1] if len(self.refused) > before else None

    @property
    def handed_up(self) -> AggregateFrame:
        return decode_aggregate(self.link.sent[-1][1])


def sums(**fields: Any) -> AggregateFrame:
    """The sums of a small cell, garden."""
    rng = np.random.default_rng(4)
    total = PartialSum.of(
        weight=rng.uniform(0.5, 1, 7),
        phasor=np.exp(1j * rng.uniform(0, 1, 7)),
        coherence=rng.uniform(0.5, 1, 7),
        time_us=NOW_US,
    )
    given: dict[str, Any] = {
        "boot": 3,
        "seq": 0,
        "time_us": NOW_US,
        "bands": {"stride": total},
        "omega": {"stride": STRIDE.omega},
        "cells": frozenset({cell_id("becomingone/garden")}),
        **fields,
    }
    return AggregateFrame(**given)


def assert_same(ours: PartialSum, flat: PartialSum) -> None:
    """As the design asks: equal to 1e-12."""
    assert ours.count == flat.count
    assert ours.oldest_time_us == flat.oldest_time_us
    for name in ("weight", "resonance", "order", "coherence", "weight_squared"):
        mine, theirs = getattr(ours, name), getattr(flat, name)
        assert abs(mine - theirs) <= 1e-12 * max(abs(theirs), 1e-3), name


# Merging


def test_three_generations_add_up_to_one_flat_mesh() -> None:
    flat = Cell("flat", relay={"parent": "nobody"})
    grandchildren = [Cell(f"g{n}", relay={"parent": "middle"}) for n in range(3)]
    middle = Cell("middle", children=("g0", "g1", "g2"), relay={"parent": "top"})
    top = Cell("top", children=("middle",), relay={"parent": "nobody"})
    for seed, cell in enumerate((*grandchildren, middle, top)):
        cell.fill(5 + seed, seed=seed)
        mine = flat.roster
        flat.config = cell.config  # the same names and numbers as in the cell
        flat.roster = mine
        flat.fill(5 + seed, seed=seed)
    for cell in grandchildren:
        cell.tick()
        assert middle.take(cell.config.cell, cell.link.sent[-1][1]) is None
    middle.tick()
    assert top.take("middle", middle.link.sent[-1][1]) is None
    top.tick()
    flat.tick()
    merged, alone = top.handed_up, flat.handed_up
    assert merged.bands.keys() == alone.bands.keys() == {"stride", "motion"}
    for band, total in merged.bands.items():
        assert total.count == 2 * sum(5 + seed for seed in range(5))
        assert_same(total, alone.bands[band])
    assert merged.cells == {cell_id(f"becomingone/{name}") for name in ("g0", "g1", "g2", "middle", "top")}


def test_sums_of_another_instant_are_carried_on_at_the_field_s_rate() -> None:
    top = Cell("top", children=("garden",), relay={"parent": "nobody"})
    given = sums()
    assert top.take("garden", encode_aggregate(given)) is None
    top.tick(NOW_US + 250_000)
    total = top.handed_up.bands["stride"]
    turned = given.bands["stride"].order * np.exp(1j * STRIDE.omega * 0.25)
    assert total.order == pytest.approx(turned)
    assert total.weight == given.bands["stride"].weight


def test_a_member_s_weight_in_the_sums_is_its_own_whatever_limits_its_share() -> None:
    cell = Cell("top", relay={"parent": "nobody"})
    cell.fill(1, seed=1, channels=30)
    cell.fill(6, seed=2)
    state = cell.tick()
    band = state.bands[0]
    assert band.weighing.limit is not None  # else this would show nothing
    assert cell.handed_up.bands["stride"].weight == pytest.approx(float(band.weighing.weight.sum()), rel=1e-12)


# As a member


def test_a_child_is_one_member_with_its_mean_field() -> None:
    top = Cell("top", children=("garden",))
    top.fill(4, seed=1)
    given = sums()
    assert top.take("garden", encode_aggregate(given)) is None
    state = top.tick()
    assert state.bands[0].nodes == 5
    row = top.table.keys.index(RowKey("cell-garden", "stride", "mean_field"))
    total = given.bands["stride"]
    field = total.resonance / total.weight
    assert complex(top.table["phasor"][row]) == pytest.approx(field / abs(field))
    assert float(top.table["coherence"][row]) == pytest.approx(abs(field))
    assert float(top.table["n_eff"][row]) == pytest.approx(total.weight**2 / total.weight_squared)
    assert float(top.table["p"][row]) < 0.01
    member = top.roster.get("cell-garden")
    assert member is not None
    assert member.about is not None
    assert (member.state, member.frames, member.about.hardware) == (State.READY, 1, "cell")
    assert top.events == [("joined", {"node": "cell-garden", "before": None, "cell": "garden"})]
    assert top.roster.silent(NOW_NS + 10**12) == [
        m for m in top.roster.members if m.state is State.READY and not m.cell
    ]


@pytest.mark.parametrize("weight", [1e-200, 5e-324])
def test_a_weight_whose_square_underflows_stands_for_one(weight: float) -> None:
    total = PartialSum(weight, complex(0.5 * weight), complex(weight), 0.5 * weight, weight * weight, 3, NOW_US)
    live = as_member(sums(bands={"stride": total}), STRIDE, 0.0)
    assert live[4] == 1.0
    assert all(math.isfinite(value) for value in live[:9])


def test_a_field_that_is_none_gives_no_phase() -> None:
    total = PartialSum.of(weight=np.ones(2), phasor=np.array([1.0, -1.0 + 0j]), coherence=np.ones(2), time_us=NOW_US)
    live = as_member(sums(bands={"stride": total}), STRIDE, 0.0)
    assert live[1:3] == (0.0, 0.0)
    assert live[8] == pytest.approx(UNIFORM, abs=0.02)
    assert live[-1] == Flags.NONE
    fast = as_member(sums(omega={"stride": 3 * STRIDE.omega}), STRIDE, 0.0)
    assert fast[-1] == Flags.NONE
    assert all(math.isfinite(value) for value in (*live[:9], *fast[:9]))


def test_a_child_from_which_nothing_comes_is_lost_and_comes_back() -> None:
    top = Cell("top", children=("garden",), relay={"parent": "nobody"})
    assert top.take("garden", encode_aggregate(sums())) is None
    assert top.tick(NOW_US + 4_000_000).bands[0].nodes == 1
    assert top.tick(NOW_US + 5_100_000).bands[0].nodes == 0
    assert top.handed_up.bands == {}
    assert top.handed_up.cells == {cell_id("becomingone/top")}
    assert [kind for kind, _ in top.events] == ["joined", "lost"]
    assert top.children.figures()["garden"] == {
        "present": False, "channels": 0, "cells": 0, "taken": 1, "missing": 0, "refused": {},
    }  # fmt: skip
    assert top.take("garden", encode_aggregate(sums(seq=4, time_us=NOW_US + 5_200_000))) is None
    assert top.tick(NOW_US + 5_300_000).bands[0].nodes == 1
    figures = top.children.figures()["garden"]
    assert (figures["present"], figures["channels"], figures["missing"]) == (True, 7, 3)


def test_a_band_that_a_child_has_no_more_counts_no_more() -> None:
    top = Cell("top", children=("garden",))
    total = sums().bands["stride"]
    both = sums(bands={"stride": total, "motion": total}, omega={"stride": 4.9, "motion": 9.4})
    assert top.take("garden", encode_aggregate(both)) is None
    assert [band.nodes for band in top.tick().bands] == [1, 1]
    assert top.take("garden", encode_aggregate(sums(seq=1))) is None
    assert [band.nodes for band in top.tick(NOW_US + 50_000).bands] == [1, 0]
    assert top.take("garden", encode_aggregate(sums(seq=2, bands={"own": total}, omega={"own": 1.0}))) is None
    assert [band.nodes for band in top.tick(NOW_US + 100_000).bands] == [0, 0]
    assert list(top.children.sums(NOW_US)) == ["own"]  # no band of the plan, and handed up all the same


# What is refused

OWN = cell_id("becomingone/top")

REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("replayed", {"seq": 4}),
    ("replayed", {"seq": 5}),
    ("wrong_epoch", {"boot": 2, "seq": 9}),
    ("late", {"seq": 9, "time_us": NOW_US - 5_000_001}),
    ("future", {"seq": 9, "time_us": NOW_US + 1_000_001}),
    ("loop", {"seq": 9, "cells": frozenset({OWN, cell_id("becomingone/garden")})}),
    ("overlap", {"seq": 9, "cells": frozenset({cell_id("becomingone/shed")})}),
]


@pytest.mark.parametrize(("reason", "fields"), REFUSALS, ids=[reason for reason, _ in REFUSALS])
def test_what_is_refused_is_counted_and_changes_nothing(reason: str, fields: dict[str, Any]) -> None:
    top = Cell("top", children=("garden", "yard"))
    shed = sums(boot=1, cells=frozenset({cell_id("becomingone/yard"), cell_id("becomingone/shed")}))
    assert top.take("yard", encode_aggregate(shed)) is None
    assert top.take("garden", encode_aggregate(sums(seq=5))) is None
    before = {name: top.table[name].tobytes() for name in ("time_us", "phasor", "alive")}
    assert top.take("garden", encode_aggregate(sums(**fields))) == reason
    assert {name: top.table[name].tobytes() for name in before} == before
    assert top.children.figures()["garden"]["refused"] == {reason: 1}
    assert top.take("garden", encode_aggregate(sums(seq=6))) is None  # nothing was used up


def test_strangers_and_stored_ones_are_refused() -> None:
    top = Cell("top", children=("garden",))
    assert top.take("office", encode_aggregate(sums())) == "unknown_cell"
    assert top.take("garden", encode_aggregate(sums()), retained=True) == "retained"
    assert top.take("garden", b"junk") in ("type", "truncated")
    assert top.take("garden", b"") == "type"
    top.children._take(Message("becomingone/other/cell/garden/aggregate", b""))
    assert top.refused[-1] == "topic"
    assert len(top.table) == 0
    assert top.roster.members == []


def test_a_node_s_name_is_not_a_child_s() -> None:
    top = Cell("top", children=("garden",))
    top.roster.enrol("cell-garden", NOW_NS).state = State.READY
    assert top.take("garden", encode_aggregate(sums())) == "name_taken"


def test_in_an_authenticated_cell_only_the_holder_of_the_key_is_taken() -> None:
    top = Cell("top", children=("garden",), sealed=True)
    topic = top.topics.aggregate("garden")
    key = node_key(SECRET, "becomingone", "top", "cell-garden")
    other = node_key(SECRET, "becomingone", "top", "cell-yard")
    plain = encode_aggregate(sums())
    assert top.take("garden", plain) == "unsealed"
    assert top.take("garden", seal(other, topic, plain, 3)) == "forged"
    assert top.take("garden", seal(key, topic, plain, 3)) is None
    assert top.take("garden", seal(key, topic, plain, 3)) == "replayed"
    later = encode_aggregate(sums(seq=1))
    assert top.take("garden", seal(key, top.topics.aggregate("yard"), later, 3)) == "forged"
    old = encode_aggregate(sums(boot=2, seq=9))
    assert top.take("garden", seal(key, topic, old, 2)) == "wrong_epoch"


# Handing up


def test_sums_go_up_at_their_interval_and_only_over_a_link() -> None:
    cell = Cell("attic", relay={"parent": "home", "child": "roof", "interval_s": 0.5})
    cell.fill(2, seed=1)
    for n in range(40):
        cell.link.connected = n < 20
        cell.tick(NOW_US + 50_000 * n)
    assert [topic for topic, _ in cell.link.sent] == ["becomingone/home/cell/roof/aggregate"] * 2
    assert [decode_aggregate(payload).seq for _, payload in cell.link.sent] == [0, 1]
    assert cell.relay is not None
    figures = cell.relay.figures()
    assert (figures["sent"], figures["unsent"], figures["channels"]) == (2, {"down": 2}, 8)


def test_a_cell_is_not_its_own_parent() -> None:
    with pytest.raises(ValidationError, match=r"relay\.parent: home is this cell"):
        Cell("home", relay={"parent": "home"})
    with pytest.raises(ConfigError, match=r"relay\.broker: there is nothing here to reach it by"):
        Cell("attic", relay={"parent": "home", "broker": {"url": "mqtt://localhost:1"}})
    with pytest.raises(ValidationError, match="name the cell"):
        HubConfig.model_validate({"relay": {"interval_s": 2.0}})
    with pytest.raises(ValidationError, match="pattern"):
        HubConfig.model_validate({"children": {"x" * 60: {}}})


# Whole hubs, in virtual time


def tone(name: str, phase: float) -> dict[str, Any]:
    options = {"frequency_hz": 0.784, "phase_rad": phase, "noise": 0.1, "rate_hz": 50, "seed": 1, "floor": 0.05}
    return {"name": name, "kind": "synthetic", "bands": ["stride"], "options": options}


def hub(bench: Bench, **config: Any) -> Hub:
    machine = HubMachine(boot=1, links=bench.broker.link, clock=MeshClock(bench.scheduler), scheduler=bench.scheduler)
    made = Hub(HubConfig.model_validate(config), machine)
    made.start()
    return made


def test_a_hub_hands_up_and_another_takes_it_with_keys() -> None:
    bench = Bench(1)
    key = node_key(SECRET, "becomingone", "home", "cell-attic").hex()
    hub(bench, cell="attic", relay={"parent": "home", "key": key})
    hub(bench, cell="home", children={"attic": {}}, security={"secret": SECRET.hex()})
    for name, phase in (("a", 0.0), ("b", 0.3)):
        bench.add_node(NodeConfig.model_validate({"node": name, "cell": "attic", "inputs": [tone("leg", phase)]}))
    bench.run_for(25.0)
    snapshot = json.loads(bench.broker.retained["becomingone/home/snapshot"])
    attic = json.loads(bench.broker.retained["becomingone/attic/snapshot"])
    assert snapshot["children"]["attic"]["present"]
    assert set(snapshot["children"]["attic"]["refused"]) <= {"before_start"}  # of the first second
    assert snapshot["children"]["attic"]["channels"] == attic["relay"]["channels"] == 2
    assert attic["relay"]["sent"] > 15
    assert snapshot["bands"]["stride"]["nodes"] == 1
    mine, theirs = snapshot["bands"]["stride"]["phase"], attic["bands"]["stride"]["phase"]
    assert abs(math.remainder(mine - theirs, 2 * math.pi)) < 0.5  # the snapshots are of two instants
    assert "cell-attic" in snapshot["nodes"]


def test_two_cells_that_hand_up_to_each_other_refuse_it() -> None:
    bench = Bench(1)
    hub(bench, cell="a", relay={"parent": "b"}, children={"b": {}})
    hub(bench, cell="b", relay={"parent": "a"}, children={"a": {}})
    for cell in "ab":
        bench.add_node(NodeConfig.model_validate({"node": "n", "cell": cell, "inputs": [tone("leg", 0.0)]}))
    bench.run_for(15.0)
    children = [json.loads(bench.broker.retained[f"becomingone/{cell}/snapshot"])["children"] for cell in "ab"]
    figures = [children[0]["b"], children[1]["a"]]
    assert sum(its["refused"].get("loop", 0) for its in figures) > 5
    assert max(its["channels"] for its in figures) <= 1  # nobody counts its own channels a second time
