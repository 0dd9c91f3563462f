"""Why each weight is what it is, and what a snapshot leaves out of a mesh that is too large for it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.section import MeshSection
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import RowKey
from becomingone.hub.showing.events import compact
from becomingone.hub.showing.nodes import MAX_ENTRIES, MAX_NODE_ENTRIES, MAX_NODES
from becomingone.hub.showing.snapshot import MAX_BYTES, MAX_PART_BYTES, Milestones, snapshot
from becomingone.kairos.bands import Band
from becomingone.wire.announce import State

from .mesh_world import MeshWorld
from .parts import MOTION, NOW_NS, NOW_US, STRIDE, about, channel_about

MIB = 1 << 20


class Cell:
    """Nodes with channels, all ready and described."""

    def __init__(self, count: int, channels: int = 1, bands: tuple[Band, ...] = (STRIDE,), **fields: Any) -> None:
        self.world = MeshWorld([], bands)
        self.roster = Roster()
        self.parts: dict[str, Mapping[str, Any]] = {}
        self.why: dict[str, dict[str, str]] = {}
        for number in range(count):
            member = self.roster.enrol(f"node{number:04d}", NOW_NS)
            names = [f"c{channel}" for channel in range(channels)]
            member.about = about(member.id, channels=tuple(channel_about(name) for name in names), **fields)
            member.state = State.READY
            for name in names:
                for band in bands:
                    self._add(member.id, number, name, band)

    def _add(self, node: str, number: int, name: str, band: Band) -> None:
        table = self.world.table
        row = table.row(
            RowKey(node, band.name, name), node=number, band=self.world.bands[band.name], max_age_s=4, capability=1.0
        )
        for column, value in {"flags": 1, "alive": True, "coherence": 1.0, "time_us": NOW_US}.items():
            table[column][row] = value
        table["phasor"][row] = 1.0
        table["omega"][row] = band.omega
        table["n_eff"][row] = 9.0

    def told(self, now_us: int = NOW_US, *, state: MeshState | None = None, **given: Any) -> dict[str, Any]:
        content = snapshot(
            state if state is not None else self.world.at(now_us),
            roster=self.roster,
            table=self.world.table,
            now_ns=NOW_NS,
            frames=1,
            refused=Counter(),
            milestones=Milestones(),
            broker={},
            trust_of=lambda node: self.why.get(node, {}),
            parts=self.parts,
            **given,
        )
        text = compact(content)
        assert len(text) < MIB
        assert json.loads(text) == content
        return content

    def why_of(self, node: int, now_us: int = NOW_US, band: str = "stride") -> dict[str, Any]:
        entry: dict[str, Any] = self.told(now_us)["nodes"][f"node{node:04d}"]["channels"]["c0"]["bands"][band]
        return entry


# Weights, explained


def test_the_parts_of_a_weight_make_the_weight() -> None:
    random = np.random.default_rng(1)
    cell = Cell(8, 2, (STRIDE, MOTION))
    table = cell.world.table
    for column, most in (("phase_sigma", 1.0), ("omega_sigma", 0.3), ("clock_sigma_s", 0.1), ("capability", 3.0)):
        table[column][:] = random.uniform(0.1, 1.0, len(table)) * most
    table["trust"][:] = random.uniform(0.5, 1.0, len(table))
    table["capability"][0] = 1e3  # over its share
    told = cell.told(NOW_US + 2_500_000)
    shares = dict.fromkeys(told["bands"], 0.0)
    limits = set()
    for node in told["nodes"].values():
        for channel in node["channels"].values():
            for name, entry in channel["bands"].items():
                why = entry["why"]
                spread = why["phase_variance"] + why["frequency_variance"] + why["clock_variance"]
                weight = why["capability"] * why["freshness"] * why["trust"] * math.exp(-0.5 * spread) * why["limit"]
                assert entry["weight"] == pytest.approx(weight, abs=0.002, rel=0.002)
                assert why["share"] == pytest.approx(entry["weight"] / told["bands"][name]["weight"], abs=0.002)
                shares[name] += why["share"]
                limits.add(why["limit"] < 1.0)
    assert shares == pytest.approx({"stride": 1.0, "motion": 1.0}, abs=0.01)
    assert limits == {True, False}


def test_the_parts_are_those_of_the_evaluation_whatever_has_come_since() -> None:
    cell = Cell(2)
    state = cell.world.at(NOW_US)
    before = cell.told(state=state)["nodes"]["node0000"]["channels"]["c0"]["bands"]["stride"]["why"]
    cell.world.table["phase_sigma"][:] = 5.0
    cell.world.table["trust"][:] = 0.1
    cell.world.table["capability"][:] = 7.0
    assert cell.told(state=state)["nodes"]["node0000"]["channels"]["c0"]["bands"]["stride"]["why"] == before


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("alive", False, "away"),
        ("flags", 0, "no_phase"),
        ("phasor", 0.0, "no_phase"),
        ("time_us", NOW_US - 10**7, "stale"),
        ("trust", 0.0, "distrusted"),
        ("capability", 0.0, "no_capability"),
        ("phase_sigma", 30.0, "uncertain"),
    ],
)
def test_a_channel_without_weight_says_why(column: str, value: float, reason: str) -> None:
    cell = Cell(2)
    cell.world.table[column][0] = value
    entry = cell.why_of(0)
    assert (entry["valid"], entry["weight"], entry["why"]) == (False, 0.0, {"none": reason})
    assert cell.why_of(1)["weight"] == 1.0


def test_a_channel_whose_first_frame_has_just_come_is_new() -> None:
    cell = Cell(2)
    cell.world.table["alive"][0] = False
    state = cell.world.at(NOW_US)
    cell.world.table["alive"][0] = True
    entry = cell.told(state=state)["nodes"]["node0000"]["channels"]["c0"]["bands"]["stride"]
    assert entry["why"] == {"none": "new"}


def test_reasons_for_less_trust_are_told() -> None:
    cell = Cell(2)
    cell.why = {"node0001": {"liar": "its phase is far from all others'"}}
    told = cell.told()["nodes"]
    assert [node["trust"] for node in told.values()] == [{}, {"liar": "its phase is far from all others'"}]


def test_the_order_without_each_node_is_told() -> None:
    cell = Cell(3, 1, (STRIDE, MOTION))
    cell.world.table["phasor"][0] = -1.0
    told = cell.told()
    assert [node["without"] for node in told["nodes"].values()] == [
        {"stride": 1.0, "motion": 1.0},
        {"stride": 0.0, "motion": 1.0},
        {"stride": 0.0, "motion": 1.0},
    ]


def test_the_documents_figures_stand_beside() -> None:
    cell = Cell(10)
    cell.world.table["phasor"][:3] = 1j
    cell.world.table["coherence"][:] = 0.8
    told = cell.told(mesh=MeshSection(coherence_threshold=0.9))
    stride = told["bands"]["stride"]
    assert stride["simple"]["phase"] == pytest.approx(math.atan2(3, 7), abs=1e-4)
    assert abs(stride["phase"]) < 0.1
    assert (stride["simple"]["coherence"], stride["simple"]["coherent"]) == (0.8, True)
    assert (told["mode"], told["simple"]) == ("robust", {"coherence": 0.8, "coherent": False, "threshold": 0.9})


def test_phases_are_of_the_snapshot_s_time_though_a_slow_band_is_not() -> None:
    slow = Band.of("slow", 1 / 60, 60.0)
    cell = Cell(2, 1, (STRIDE, slow))
    cell.told()
    told = cell.told(NOW_US + 1_000_000)
    assert (told["bands"]["slow"]["age_s"], told["bands"]["stride"]["age_s"]) == (1.0, 0.0)
    assert told["bands"]["slow"]["phase"] == pytest.approx(slow.omega, abs=1e-4)
    assert told["bands"]["slow"]["simple"]["phase"] == pytest.approx(slow.omega, abs=1e-4)
    entry = told["nodes"]["node0000"]["channels"]["c0"]["bands"]["slow"]
    assert entry["phase"] == pytest.approx(slow.omega, abs=1e-4)


def test_a_table_that_was_never_evaluated_has_no_figures() -> None:
    told = Cell(2, 1, (STRIDE, MOTION)).told(state=MeshState(NOW_US, ()))
    assert told["bands"] == {}
    assert told["nodes"]["node0001"]["channels"]["c0"]["bands"]["motion"]["why"] == {"none": "new"}


# Sections of other parts


def test_sections_of_other_parts_are_put_in_as_they_are() -> None:
    cell = Cell(1)
    cell.parts = {"emergence": {"emerged": []}, "memory": {"entries": 5}}
    told = cell.told()
    assert (told["emergence"], told["memory"]) == ({"emerged": []}, {"entries": 5})


def test_a_part_cannot_take_the_place_of_a_figure() -> None:
    cell = Cell(1)
    cell.parts = {"bands": {}, "nodes": {}, "we": {}}
    with pytest.raises(ValueError, match="of its own named bands, nodes"):
        cell.told()


def test_a_part_that_is_too_long_is_left_out_by_name() -> None:
    cell = Cell(2)
    cell.parts = {"short": {"a": 1}, "long": {"a": "x" * MAX_PART_BYTES}, "longer": {"a": "x" * (MAX_BYTES * 3)}}
    told = cell.told()
    assert told["short"] == {"a": 1}
    assert told["left_out"]["parts"] == ["longer", "long"]
    assert told["left_out"]["why"] is not None
    assert len(told["nodes"]) == 2


# Size


def test_of_a_small_cell_nothing_is_left_out() -> None:
    told = Cell(30, 3, (STRIDE, MOTION)).told()
    assert len(told["nodes"]) == 30
    assert told["left_out"] == {"nodes": 0, "channels": 0, "parts": [], "why": None}
    assert all(node["left_out"] == 0 for node in told["nodes"].values())


def test_of_a_thousand_nodes_the_unwell_and_the_weighty_are_told_of() -> None:
    cell = Cell(1000)
    members = cell.roster.members
    members[990].state = State.LOST
    cell.world.table["alive"][990] = False
    cell.why = {"node0980": {"liar": "it lies"}}
    cell.world.table["capability"][900:950] = 2.0
    cell.world.table["capability"][:100] = 0.5
    told = cell.told()
    assert len(told["nodes"]) == MAX_NODES
    assert told["left_out"]["nodes"] == 1000 - MAX_NODES
    assert told["left_out"]["channels"] == 1000 - MAX_NODES
    assert told["left_out"]["why"] is not None
    assert told["states"] == {"lost": 1, "ready": 999}
    assert {"node0990", "node0980", *(f"node{number:04d}" for number in range(900, 950))} <= told["nodes"].keys()
    assert not {f"node{number:04d}" for number in range(100)} & told["nodes"].keys()
    assert list(told["nodes"]) == sorted(told["nodes"])


def test_a_crowd_of_the_lost_leaves_room_for_those_who_are_there() -> None:
    cell = Cell(1000)
    for member in cell.roster.members[:900]:
        member.state = State.LOST
    cell.world.table["alive"][:900] = False
    told = cell.told()
    assert Counter(node["state"] for node in told["nodes"].values()) == {"ready": 100, "lost": MAX_NODES - 100}
    assert all(node["channels"] for node in told["nodes"].values() if node["state"] == "ready")


def test_a_node_without_room_for_its_channels_says_how_many_they_are() -> None:
    told = Cell(300, 3, (STRIDE, MOTION)).told()
    assert len(told["nodes"]) == 300
    shown = [len(node["channels"]) * 2 for node in told["nodes"].values()]
    assert sum(shown) <= MAX_ENTRIES < sum(shown) + 6
    assert {count + node["left_out"] for count, node in zip(shown, told["nodes"].values(), strict=True)} == {6}
    assert told["left_out"]["channels"] == 1800 - sum(shown)
    assert told["left_out"]["nodes"] == 0


def test_of_a_node_of_very_many_channels_the_heaviest_are_told() -> None:
    cell = Cell(2, 250)
    cell.world.table["phase_sigma"][:200] = 1.0
    told = cell.told()["nodes"]
    assert [node["left_out"] for node in told.values()] == [250 - MAX_NODE_ENTRIES] * 2
    weights = [channel["bands"]["stride"]["weight"] for node in told.values() for channel in node["channels"].values()]
    assert len(weights) == 2 * MAX_NODE_ENTRIES
    assert told["node0000"]["channels"].keys() >= {f"c{number}" for number in range(200, 250)}


def test_nodes_that_tell_long_stories_of_their_devices_do_not_burst_it() -> None:
    devices = tuple(
        {"name": f"d{number}", "kind": "x", "available": False, "reason": "w" * 500} for number in range(200)
    )
    told = Cell(60, devices=devices).told()
    assert 0 < len(told["nodes"]) < 10
    assert told["left_out"]["nodes"] == 60 - len(told["nodes"])
