"""A node's standing: reasons that multiply, and end by themselves; told once each."""

from __future__ import annotations

import math
from typing import Any

import pytest

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.standing import LEAST_TRUST, MAX_REASONS, Standing
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable, RowKey

from .parts import NOW_US


class Mesh:
    """Two nodes with two channels each, and their standing."""

    def __init__(self) -> None:
        self.table, self.roster = ChannelTable(), Roster()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.standing = Standing(self.table, self.roster, tell=lambda kind, content: self.told.append((kind, content)))
        for node in ("a", "b"):
            self.add(node, "x")
            self.add(node, "y")
        self.take()

    def add(self, node: str, channel: str) -> None:
        number = self.roster.enrol(node, 0).number
        self.table.row(RowKey(node, "stride", channel), node=number, band=0, max_age_s=1.0, capability=1.0)

    def lower(self, node: str = "a", reason: str = "stuck", factor: float = 0.1, for_s: float | None = 10.0) -> None:
        self.standing.lower(node, reason, factor, f"it is {reason}", now_us=NOW_US, for_s=for_s)

    def take(self, after_s: float = 0.0) -> None:
        self.standing.take(MeshState(NOW_US + round(after_s * 1e6), ()))

    @property
    def trust(self) -> list[float]:
        return [round(float(trust), 9) for trust in self.table["trust"]]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(kind, content["reason"]) for kind, content in self.told]


def test_a_reason_lowers_all_rows_of_its_node_and_no_others() -> None:
    mesh = Mesh()
    assert mesh.trust == [1.0] * 4
    mesh.lower()
    assert mesh.trust == [0.1, 0.1, 1.0, 1.0]
    assert mesh.standing.of("a") == {"stuck": "it is stuck"}
    assert mesh.standing.of("b") == {}
    assert mesh.told == [
        (
            "distrusted",
            {"node": "a", "reason": "stuck", "why": "it is stuck", "factor": 0.1, "trust": 0.1, "for_s": 10.0},
        )
    ]


def test_reasons_multiply_and_end_apart() -> None:
    mesh = Mesh()
    mesh.lower(for_s=10.0)
    mesh.lower(reason="clock", factor=0.5, for_s=20.0)
    assert mesh.trust[:2] == [0.05, 0.05]
    mesh.take(9.999)
    assert mesh.trust[:2] == [0.05, 0.05]
    mesh.take(10.0)
    assert mesh.trust[:2] == [0.5, 0.5]
    mesh.take(20.0)
    assert mesh.trust == [1.0] * 4
    assert mesh.kinds == [
        ("distrusted", "stuck"),
        ("distrusted", "clock"),
        ("restored", "stuck"),
        ("restored", "clock"),
    ]
    assert mesh.told[-1][1] == {"node": "a", "reason": "clock", "trust": 1.0}


def test_a_reason_that_goes_on_is_told_once_and_lasts_longer() -> None:
    mesh = Mesh()
    mesh.lower(for_s=10.0)
    mesh.standing.lower("a", "stuck", 0.1, "still", now_us=NOW_US + 5_000_000, for_s=10.0)
    assert mesh.standing.of("a") == {"stuck": "still"}
    mesh.take(14.0)
    assert mesh.trust[0] == 0.1
    mesh.take(15.0)
    assert mesh.kinds == [("distrusted", "stuck"), ("restored", "stuck")]


def test_another_factor_is_told() -> None:
    mesh = Mesh()
    mesh.lower(factor=0.5)
    mesh.lower(factor=0.25)
    assert mesh.trust[0] == 0.25
    assert len(mesh.told) == 2


def test_one_without_an_end_lasts_until_it_is_cleared() -> None:
    mesh = Mesh()
    mesh.lower(for_s=None)
    mesh.take(1e6)
    assert mesh.trust[0] == 0.1
    mesh.standing.clear("a", "stuck")
    mesh.standing.clear("a", "stuck")
    mesh.standing.clear("nobody", "stuck")
    assert mesh.trust == [1.0] * 4
    assert mesh.kinds == [("distrusted", "stuck"), ("restored", "stuck")]


def test_rows_that_are_made_later_are_trusted_as_their_node() -> None:
    mesh = Mesh()
    mesh.lower()
    mesh.add("a", "z")
    mesh.add("b", "z")
    for _ in range(100):
        mesh.add("c", f"c{_}")
    mesh.take(1.0)
    assert mesh.trust[4:6] == [0.1, 1.0]
    assert mesh.trust[6:] == [1.0] * 100


def test_a_node_that_is_not_there_yet_has_its_standing_when_it_comes() -> None:
    mesh = Mesh()
    mesh.lower("late")
    mesh.add("late", "x")
    mesh.take(1.0)
    assert mesh.trust[-1] == 0.1
    assert mesh.standing.figures() == {
        "late": {
            "trust": 0.1,
            "reasons": {"stuck": {"factor": 0.1, "why": "it is stuck", "until_us": NOW_US + 10_000_000}},
        }
    }


def test_nobody_is_trusted_so_little_that_nobody_sees_it_any_more() -> None:
    mesh = Mesh()
    mesh.lower(factor=0.0)
    assert mesh.trust[0] == LEAST_TRUST


def test_reasons_have_an_end() -> None:
    mesh = Mesh()
    for number in range(MAX_REASONS + 3):
        mesh.lower(reason=f"r{number}", factor=0.9)
    assert len(mesh.standing.of("a")) == MAX_REASONS
    assert mesh.standing.refused == 3


@pytest.mark.parametrize(
    ("factor", "for_s", "name"),
    [(1.5, 1.0, "factor"), (-0.1, 1.0, "factor"), (math.nan, 1.0, "factor"), (0.5, 0.0, "for_s")],
)
def test_what_has_no_meaning_is_refused(factor: float, for_s: float, name: str) -> None:
    mesh = Mesh()
    with pytest.raises(ValueError, match=name):
        mesh.lower(factor=factor, for_s=for_s)
    assert mesh.trust == [1.0] * 4
