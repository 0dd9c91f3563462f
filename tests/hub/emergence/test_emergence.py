"""The whole of it: what is asked for, what is told, hysteresis, nodes that come and go, clocks, many nodes."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tests.hub.emergence.rig import (
    BANDS,
    NOW_US,
    OFFSET_TAU_S,
    P_FALSE,
    Cell,
    first_significant,
    frames,
    gait,
    slots,
    weather,
)

from becomingone.hub.emergence.emergence import Emergence
from becomingone.hub.emergence.section import EmergenceSection
from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable

STRIDE = BANDS["stride"]
SPACING_S = 0.25 / 0.78


class Mesh:
    """Phases with fluctuations of their own and in common, as they come to the hub; simulated."""

    def __init__(self, channels, *, nodes=None, seed=1, common=0.25, own=0.1, **options):
        nodes = nodes or [f"n{i}" for i in range(channels)]
        self.cell = Cell(nodes, evaluate=False, **options)
        self.rng = np.random.default_rng(seed)
        self.common, self.own = common, own
        self.offset = self.rng.uniform(-3, 3, channels)
        self.noise = np.zeros((2, channels + 1))
        self.seconds = 0.0

    def step(self, *, there=None, coherence=0.95, ceiling=1.0, dt=SPACING_S):
        for _ in range(4):
            white = self.rng.standard_normal(self.noise.shape[1])
            keep = math.exp(-dt / 4)
            self.noise[0] = keep * self.noise[0] + (1 - keep) * white * 3
            self.noise[1] = keep * self.noise[1] + (1 - keep) * self.noise[0]
        self.seconds += dt
        angle = self.offset + self.own * self.noise[1, 1:] * 3 + self.common * self.noise[1, 0] * 3
        u = np.exp(1j * (angle + STRIDE.omega * self.seconds))
        if there is not None:
            u = np.where(there, u, 0.0)
        self.cell.take(self.seconds, u, STRIDE.omega, coherence=coherence, ceiling=ceiling)

    def run(self, seconds, **options):
        end = self.seconds + seconds
        while self.seconds < end:
            self.step(**options)
        return self

    @property
    def missing(self):
        return self.cell.emergence.figures()["bands"]["stride"]["missing"]


def test_two_that_go_together_emerge_and_stay():
    mesh = Mesh(2).run(180)
    assert mesh.cell.kinds() == ["emergence"]
    at, _, event = mesh.cell.told[0]
    assert 14 < at < 60
    assert mesh.cell.emergence.emerged == frozenset({"stride"})
    assert mesh.missing == []
    figures = mesh.cell.emergence.figures()
    assert figures["emerged"] == ["stride"]
    assert list(figures["bands"]) == ["stride"]
    assert figures["failed_looks"] == 0
    assert figures["bands"]["stride"]["false_alarm_s"] == pytest.approx(48_000)
    assert event["band"] == "stride"
    assert event["nodes"] == event["channels"] == 2
    assert event["fluctuation"]["p"] <= event["fluctuation"]["p_needed"] < 0.001
    assert event["fluctuation"]["beaten"] < 0.05
    assert event["spending"]["p_false"] == 0.01
    assert 0 < event["spending"]["spent"] < 0.01
    assert set(event["members"]) == {"n0", "n1"}
    assert event["members"]["n0"]["r"] == event["fluctuation"]["r"]
    assert event["members"]["n0"]["weight"] == 0.5
    assert event["locking_s"] == 12
    assert event["locking_slow_s"] == OFFSET_TAU_S


def names(value):
    """Give the names of all fields, those of nodes and bands left out."""
    found = set()
    for name, part in value.items() if isinstance(value, dict) else ():
        found |= {name} | (set().union(*map(names, part.values())) if name in ("members", "bands") else names(part))
    return found


def test_every_field_of_an_event_and_of_the_snapshot_is_on_its_page():
    mesh = Mesh(2).run(60)
    mesh.run(4, coherence=0.5)
    docs = Path(__file__).parents[3] / "docs"
    page = (docs / "protocol.md").read_text("utf-8")
    events = page.split("## Events")[1].split("## Witnesses")[0]
    for _, _, event in mesh.cell.told:
        assert names(event) <= set(re.findall(r"`(\w+)`", events))
    page = (docs / "emergence.md").read_text("utf-8")
    assert names(mesh.cell.emergence.figures()) <= set(re.findall(r"`(\w+)`", page))
    assert set(EmergenceSection.model_fields) <= set(re.findall(r"`(\w+)`", page))


def test_two_that_do_not_share_stay_apart_though_all_else_holds():
    mesh = Mesh(2, common=0.0).run(120)
    assert mesh.cell.kinds() == []
    assert mesh.missing == ["shared"]


def test_two_channels_of_one_node_are_no_mesh():
    mesh = Mesh(2, nodes=["n", "n"]).run(60)
    assert mesh.cell.kinds() == []
    assert "nodes" in mesh.missing


def test_coherence_below_the_threshold_is_not_enough_and_not_looked_at():
    mesh = Mesh(2).run(90, coherence=0.74)
    assert mesh.cell.kinds() == []
    assert "coherence" in mesh.missing
    assert mesh.cell.emergence.figures()["bands"]["stride"]["looks"] == 0
    mesh.run(60)
    assert mesh.cell.kinds() == ["emergence"]


def test_clocks_that_cannot_carry_it_are_said_once_instead():
    mesh = Mesh(2).run(60, ceiling=0.7)
    assert mesh.cell.kinds() == ["clock_limited"]
    assert mesh.missing[0] == "clocks"
    assert mesh.cell.told[0][2]["clock_ceiling"] == 0.7
    mesh.run(60, ceiling=0.7)
    assert mesh.cell.kinds() == ["clock_limited"]
    mesh.run(60)
    assert mesh.cell.kinds() == ["clock_limited", "emergence"]
    mesh.run(30, ceiling=0.7)
    assert mesh.cell.kinds() == ["clock_limited", "emergence"]  # within the hysteresis
    mesh.run(30, ceiling=0.6)
    assert mesh.cell.kinds()[2] == "dissolution"
    assert mesh.cell.told[2][2]["why"] == ["clocks"]


def test_hysteresis_and_dwell():
    mesh = Mesh(2).run(60)
    mesh.run(20, coherence=0.7)
    assert mesh.cell.kinds() == ["emergence"]
    mesh.run(1.2, coherence=0.5)
    mesh.run(3)
    assert mesh.cell.kinds() == ["emergence"]
    mesh.run(4, coherence=0.5)
    assert mesh.cell.kinds() == ["emergence", "dissolution"]
    event = mesh.cell.told[1][2]
    assert event["why"] == ["coherence"]
    assert event["lasted_s"] > 20
    assert event["fluctuation"]["p"] < 0.001
    mesh.run(120)
    assert mesh.cell.kinds() == ["emergence", "dissolution", "emergence"]


def test_a_node_that_goes_dissolves_it_and_one_that_comes_back_restores_it():
    mesh = Mesh(2).run(60)
    mesh.run(20, there=np.array([True, False]))
    assert mesh.cell.kinds() == ["emergence", "dissolution"]
    assert mesh.cell.told[1][2]["why"][0] == "nodes"
    mesh.run(90)
    assert mesh.cell.kinds() == ["emergence", "dissolution", "emergence"]


def test_two_that_part_dissolve():
    mesh = Mesh(2).run(60)
    mesh.common, mesh.own = 0.0, 0.25
    mesh.run(400)
    assert mesh.cell.kinds()[:2] == ["emergence", "dissolution"]
    assert set(mesh.cell.told[1][2]["why"]) <= {"shared", "locking"}


def test_one_that_runs_at_another_rate_unlocks_it():
    mesh = Mesh(2).run(60)
    while mesh.seconds < 120 and len(mesh.cell.told) < 2:
        mesh.offset[1] += 0.35 * SPACING_S
        mesh.step()
    assert mesh.cell.kinds() == ["emergence", "dissolution"]
    assert mesh.cell.told[1][2]["why"] == ["locking"]


@pytest.mark.parametrize("channels", [3, 9, 70])
def test_many_nodes(channels):
    together = Mesh(channels).run(60)
    assert together.cell.kinds() == ["emergence"]
    assert len(together.cell.told[0][2]["members"]) == channels
    apart = Mesh(channels, common=0.0).run(45)
    assert apart.cell.kinds() == []


def test_an_event_tells_of_the_heaviest_nodes_only():
    mesh = Mesh(260, common=0.4).run(25)
    event = mesh.cell.first("emergence")[1]
    assert len(event["members"]) == 200
    assert event["members_left_out"] == 60


def test_time_that_goes_back_begins_anew():
    mesh = Mesh(2).run(60)
    mesh.seconds = 1.0
    mesh.run(8)
    assert mesh.cell.kinds() == ["emergence", "dissolution"]
    mesh.run(90)
    assert mesh.cell.kinds() == ["emergence", "dissolution", "emergence"]


def test_the_same_run_tells_the_same():
    runs = [Mesh(5, seed=4).run(60).cell.told for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0]


def test_a_band_that_was_not_evaluated_says_nothing_new():
    mesh = Mesh(2).run(30)
    before = mesh.cell.emergence.figures()
    stale = BandState(name="stride", valid=True, time_us=NOW_US, rows=np.array([0, 1], np.intp))
    mesh.cell.emergence.take(MeshState(NOW_US + 40_000_000, (stale,)))
    assert mesh.cell.emergence.figures() == before


class Broken:
    """A runner whose work fails, and one that never answers."""

    def __init__(self, *, answers):
        self.answers, self.asked, self.closed = answers, 0, False

    def submit(self, _work, outcome):
        self.asked += 1
        if self.answers:
            outcome(None, ValueError("no memory"))

    def close(self):
        self.closed = True


@pytest.mark.parametrize("answers", [True, False])
def test_a_look_that_fails_is_counted_and_one_that_hangs_is_not_asked_for_twice(answers):
    mesh, runner = Mesh(2), Broken(answers=answers)
    mesh.cell.emergence._runner = runner
    mesh.run(60)
    assert mesh.cell.kinds() == []
    assert mesh.cell.emergence.figures()["failed_looks"] == (runner.asked if answers else 0)
    assert runner.asked > 1 if answers else runner.asked == 1
    mesh.cell.emergence.close()
    assert runner.closed
    mesh.run(10)
    assert mesh.cell.emergence.figures()["enabled"] is False


class Late:
    """A runner that answers when it is told to."""

    def __init__(self):
        self.waiting = []

    def submit(self, work, outcome):
        self.waiting.append((work, outcome))

    def answer(self):
        for work, outcome in self.waiting:
            outcome(work(), None)
        self.waiting.clear()


def test_a_look_that_is_answered_after_the_dissolution_is_void():
    """It was asked whether the evidence holds, at a p that is no evidence for an emergence."""
    mesh = Mesh(2).run(60)
    assert mesh.cell.kinds() == ["emergence"]
    runner = mesh.cell.emergence._runner = Late()
    while not runner.waiting:
        mesh.step()
    mesh.run(5, coherence=0.5)
    assert mesh.cell.kinds() == ["emergence", "dissolution"]
    runner.answer()
    mesh.run(6)
    assert mesh.cell.kinds() == ["emergence", "dissolution"]
    for _ in range(200):
        mesh.step()
        runner.answer()
    assert mesh.cell.kinds() == ["emergence", "dissolution", "emergence"]
    assert mesh.cell.told[2][2]["fluctuation"]["p_needed"] < 0.001


def test_it_can_be_turned_off():
    mesh = Mesh(2, section=EmergenceSection(enabled=False)).run(30)
    assert mesh.cell.emergence.figures()["bands"] == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"release_coherence": 0.9}, "release_coherence"),
        ({"release_p": 0.005}, "release_p"),
        ({"window_tau": 50, "first_tau": 20}, "window_tau"),
        ({"p_false": 0.5}, "p_false"),
        ({"dwell": 3}, "dwell"),
    ],
)
def test_a_section_that_contradicts_itself_is_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        EmergenceSection(**fields)


def test_a_band_without_anybody_costs_nothing_and_says_nothing():
    emergence = Emergence(
        EmergenceSection(),
        tuple(BANDS.values()),
        ChannelTable(),
        Roster(),
        p_false=P_FALSE,
        offset_tau_s=OFFSET_TAU_S,
        runner=Broken(answers=False),
        tell=lambda kind, content: pytest.fail(f"{kind} {content}"),
    )
    for tick in range(100):
        states = tuple(BandState(name=name, valid=False, time_us=NOW_US + tick * 50_000) for name in BANDS)
        emergence.take(MeshState(NOW_US + tick * 50_000, states))
    assert emergence.figures()["bands"] == {}
    assert emergence.emerged == frozenset()


# -- recordings, at the same settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["horiz_fwd", "vert", "horiz_lateral"])
def test_a_freezing_gait_is_no_unity_and_it_is_said_why(way):
    """Ankle, leg and trunk of a walker whose gait freezes: no sensor keeps a rhythm for long, and none is invented."""
    x = gait()
    channels = [frames(x[f"{part}_{way}"], 64.0, STRIDE, 5.0, 16) for part in ("ankle", "leg", "trunk")]
    cell = Cell(["ankle", "leg", "trunk"]).run(channels)
    assert cell.kinds() == []
    assert "coherence" in cell.emergence.figures()["bands"]["stride"]["missing"]


DAY = BANDS["replayed_day"]
FLOOR_F = 0.5


def days(series):
    return slots(np.nan_to_num(series, nan=float(np.nanmean(series))), 1.0, DAY, FLOOR_F, 24)


def test_three_airports_share_their_weather_and_other_days_do_not():
    """A day is a day at any shift of whole days: only what is irregular about it tells."""
    year = weather()
    u = {station: days(series) for station, series in year.items()}
    together = first_significant(np.stack(list(u.values()), axis=1), 24.0, DAY)
    assert together is not None
    assert together[0] / 24 < 120
    rng = np.random.default_rng(12)
    false = 0
    for _ in range(6):
        first, second = rng.integers(15, 340, 2)
        if min(abs(int(first) - int(second)), 363 - abs(int(first) - int(second))) < 15:
            continue
        moved = [u["EWR"], days(np.roll(year["JFK"], 24 * first)), days(np.roll(year["LGA"], 24 * second))]
        false += first_significant(np.stack(moved, axis=1), 24.0, DAY) is not None
    assert false <= 1
