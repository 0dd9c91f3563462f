"""Planted faults in a real hub with real nodes, in virtual time: sensor, wire, mesh, witness, standing, event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .cell import Cell

FROM_S = 60.0


@pytest.mark.parametrize(
    ("first", "layer", "reason", "within_s"),
    [
        ({"fault": "stuck"}, "meso", "stuck", 40.0),
        pytest.param({"fault": "clock", "rate": 0.2}, "meso", "clock", 60.0, marks=pytest.mark.slow),
        pytest.param({"fault": "jumps"}, "micro", "jumps", 60.0, marks=pytest.mark.slow),
    ],
)
def test_a_planted_fault_is_found_in_a_real_cell(
    first: dict[str, Any], layer: str, reason: str, within_s: float, tmp_path: Path
) -> None:
    cell = Cell(tmp_path, first={"from_s": FROM_S, **first})
    cell.run(FROM_S)
    assert cell.events("witness") == []
    cell.run(within_s)
    seen = [content for _, content in cell.events("witness") if content["lowered"]]
    assert seen
    assert (seen[0]["layer"], seen[0]["fault"], seen[0]["node"]) == (layer, reason, "n0")
    lowered = {(content["node"], content["reason"]) for _, content in cell.events("distrusted")}
    assert (("n0", reason) in lowered, {node for node, _ in lowered}) == (True, {"n0"})
    table = cell.bench.hub._table  # type: ignore[union-attr]
    trust = {key.node: float(table["trust"][row]) for row, key in enumerate(table.keys)}
    assert trust["n0"] < 1.0
    assert [trust[f"n{n}"] for n in range(1, 4)] == [1.0] * 3
    assert cell.retained(f"witness/{layer}")["notable"][0]["node"] == "n0"
    assert reason in cell.retained("snapshot")["nodes"]["n0"].get("trust", {reason: ""})


@pytest.mark.slow
def test_a_node_that_claims_half_its_sigma_is_found_in_a_real_cell(tmp_path: Path) -> None:
    cell = Cell(tmp_path, liar=True)
    cell.run(120.0)
    assert {(content["node"], content["reason"]) for _, content in cell.events("distrusted")} == {("n0", "liar")}
    (_, first), *_ = cell.events("witness")
    assert (first["layer"], first["fault"]) == ("macro", "liar")


@pytest.mark.slow
def test_in_health_a_real_cell_blames_nobody(tmp_path: Path) -> None:
    cell = Cell(tmp_path, seed=5)
    cell.run(150.0)
    assert cell.events("witness") == []
    assert cell.events("distrusted") == []
    assert cell.retained("witness/meta")["settled"] == 8
