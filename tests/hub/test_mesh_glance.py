"""A glance at few channels, in plain numbers, against the arrays; and a node's field, which is taken both ways, too."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from becomingone.hub.mesh import band as mesh_band
from becomingone.hub.mesh.glance import FEW
from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import BandRows
from becomingone.hub.rules.node_fields import NodeRows, node_field, node_fields
from becomingone.wire.frame import Flags

from .mesh_world import MeshWorld, content
from .parts import NOW_US

SUMS = ("weight", "n_weights", "coherence", "n_eff", "p", "order", "omega", "ceiling")
THE_SAME = ("valid", "time_us", "channels", "nodes", "decidable", "collapsed", "locking", "locking_p", "locking_n_eff")


def drawn(rng: np.random.Generator, rows: int, nodes: int, mode: str = "robust") -> MeshWorld:
    """Draw channels of which some are old, spread out, not trusted, dead or without a phase."""
    world = MeshWorld([(f"n{number % nodes}", "stride") for number in range(rows)], mode=mode)
    some = rng.uniform(size=(3, rows))
    world.set(
        phasor=np.exp(1j * rng.normal(0.0, 0.7, rows)),
        time_us=NOW_US - rng.integers(-20_000, 3_000_000, rows),
        coherence=rng.uniform(0.0, 1.0, rows),
        n_eff=rng.uniform(1.0, 40.0, rows),
        p=rng.uniform(0.0, 0.1, rows),
        omega=rng.normal(4.9, 0.3, rows),
        omega_sigma=rng.uniform(0.0, 0.2, rows),
        phase_sigma=rng.uniform(0.0, 0.5, rows),
        clock_sigma_s=rng.uniform(0.0, 0.02, rows),
        capability=rng.choice([0.1, 0.5, 1.0, 30.0], rows),
        trust=rng.choice([1.0, 0.3], rows),
        alive=some[0] > 0.1,
        flags=np.where(some[1] > 0.1, int(Flags.VALID), 0),
    )
    world.table["phasor"][some[2] < 0.1] = 0.0
    return world


def by_arrays(world: MeshWorld, now_us: int, monkeypatch: pytest.MonkeyPatch) -> BandState:
    with monkeypatch.context() as patched:
        patched.setattr(mesh_band, "FEW", -1)
        glance: BandState = world.evaluator.glance(0, now_us)
    return glance


@pytest.mark.parametrize("mode", ["robust", "documents"])
def test_plain_numbers_give_what_the_arrays_give(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    valid = limited = fields = 0
    for trial in range(150):
        rows = 1 + trial % FEW
        world = drawn(rng, rows, 1 + int(rng.integers(rows)), mode)
        world.at(NOW_US)
        world.table["phasor"][:] *= np.exp(1j * rng.normal(0.0, 0.2, rows))
        before = content(world.table)
        now_us = NOW_US + int(rng.integers(0, 60_000))
        found, wanted = world.evaluator.glance(0, now_us), by_arrays(world, now_us, monkeypatch)
        assert content(world.table) == before
        assert found.mean_field == pytest.approx(wanted.mean_field, abs=1e-9)
        for figure in SUMS:
            assert getattr(found, figure) == pytest.approx(getattr(wanted, figure), rel=1e-9, abs=1e-12), figure
        for figure in THE_SAME:
            assert getattr(found, figure) == getattr(wanted, figure), figure
        assert found.rows.tolist() == wanted.rows.tolist()
        assert found.total.count == wanted.total.count
        assert found.total.oldest_time_us == wanted.total.oldest_time_us
        assert abs(found.total.resonance - wanted.total.resonance) <= 1e-9 * max(1.0, wanted.weight)
        if wanted.simple is not None and found.simple is not None:
            assert found.simple.mean_field == pytest.approx(wanted.simple.mean_field, abs=1e-9)
            assert found.simple.coherent == wanted.simple.coherent
        assert (found.simple is None) == (wanted.simple is None)
        valid += wanted.valid
        limited += wanted.weighing is not None and wanted.weighing.limit is not None
        fields += found.weighing is None and wanted.weighing is not None
    assert valid >= 100
    assert fields == valid  # it was not the arrays twice
    assert limited >= (20 if mode == "robust" else 0)


def test_a_glance_at_few_is_what_an_evaluation_would_say() -> None:
    rng = np.random.default_rng(6)
    for rows in range(1, FEW + 1):
        seed = int(rng.integers(1 << 30))
        looked, evaluated = (drawn(np.random.default_rng(seed), rows, rows) for _ in range(2))
        for world in (looked, evaluated):
            world.at(NOW_US)
        found, wanted = looked.evaluator.glance(0, NOW_US + 50_000), evaluated.band(NOW_US + 50_000)
        assert found.valid == wanted.valid
        assert found.mean_field == pytest.approx(wanted.mean_field, abs=1e-9)
        assert found.coherence == pytest.approx(wanted.coherence, rel=1e-9)


def test_of_few_channels_the_p_of_the_order_is_that_of_the_latest_evaluation() -> None:
    world = MeshWorld([("a", "stride"), ("b", "stride"), ("c", "stride")])
    world.say([0.0, 2.0, 4.0], NOW_US)
    before = world.band(NOW_US)
    world.say([0.0, 0.1, 0.2], NOW_US)
    found = world.evaluator.glance(0, NOW_US + 1)
    assert found.order > 0.9 > before.order
    assert found.order_p == before.order_p


@pytest.mark.parametrize(
    ("column", "value"),
    [("coherence", math.nan), ("omega", math.inf), ("phase_sigma", math.nan), ("p", math.inf), ("time_us", math.nan)],
)
def test_what_is_not_ordinary_is_left_to_the_arrays(column: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    world = MeshWorld([("a", "stride"), ("b", "stride")])
    latest = world.band(NOW_US)
    world.table[column][1] = value
    evaluator = mesh_band.BandEvaluator(
        world.config.mesh, 0, world.config.band_plan()[0], world.table, p_false=0.01, dwell_us=0, offset_tau_s=1.0
    )
    nothing = replace(latest, valid=False)

    def look(_members: BandRows, now_us: int) -> tuple[None, None]:
        asked.append(now_us)
        return None, None

    monkeypatch.setattr(evaluator, "_look", look)
    assert evaluator.glance(nothing, NOW_US + 1).valid is False
    assert asked == [NOW_US + 1]


def test_a_node_s_field_is_the_same_singly_and_with_all_others() -> None:
    rng = np.random.default_rng(7)
    for rows in (1, 5, 40):
        world = drawn(rng, rows, 3)
        band = world.band(NOW_US)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a node without any weight must divide nothing
            together = node_fields(world.table, band.rows, NOW_US + 10_000)
            assert node_fields(world.table, world.table.of_band(0).rows, NOW_US + 10_000).keys() == together.keys()
            of = NodeRows(world.table)
            for node in range(4):
                alone, wanted = node_field(world.table, of.of(0, node), NOW_US + 10_000), together.get(node)
                assert (alone is None) == (wanted is None)
                assert alone is None or alone == pytest.approx(wanted, rel=1e-9)


def test_the_rows_of_a_node_are_found_again_when_the_band_has_others() -> None:
    world = MeshWorld([("a", "stride"), ("b", "stride")])
    of = NodeRows(world.table)
    assert (of.of(0, 0), of.of(0, 1)) == ([0], [1])
    world.add("a", "stride")
    assert (of.of(0, 0), of.of(0, 1)) == ([0, 2], [1])
