"""What goes wrong with one node is handled, shown as itself, told, remembered and explained; nobody else is blamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from becomingone.sim.plan import FaultPlan

from ..witnessing.cell import Cell  # noqa: TID252 - one file of faulty sensors for the hub's tests
from .house import BASE, House


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        pytest.param({"first": {"fault": "stuck", "from_s": 60.0}}, "stuck", id="stuck sensor"),
        pytest.param({"first": {"fault": "clock", "rate": 0.2, "from_s": 60.0}}, "clock", id="drifting clock"),
        pytest.param({"liar": True}, "liar", id="liar", marks=pytest.mark.slow),
    ],
)
def test_a_node_at_fault(what: dict[str, Any], reason: str, tmp_path: Path) -> None:
    house = House(bench=Cell(tmp_path, **what).bench)
    house.bench.run_for(59.0)
    event = house.run_until_told("distrusted", within_s=90.0, reason=reason)
    assert event["node"] == "n0"
    trust = house.trust()["n0"]
    assert reason in trust
    house.check_told(event, reason, event["why"])
    house.check_told(next(one for one in house.events("witness") if one["fault"] == reason), reason)
    house.check_nobody_else_is_blamed()


def test_a_node_that_sleeps() -> None:
    """It is neither lost nor at fault, and nothing of it counts until it wakes."""
    plan = FaultPlan.model_validate({"faults": [{"kind": "sleep", "clients": ["n0"], "at_s": 5, "lasts_s": 30}]})
    house = House(faults=plan)
    event = house.run_until_told("slept", within_s=10.0)
    house.bench.run_for(20.0)  # long after a node that says nothing would be lost
    seen = house.snapshot()
    assert (seen["nodes"]["n0"]["state"], seen["nodes"]["n0"]["trust"]) == ("sleeping", {})
    assert seen["bands"]["quick"]["nodes"] == 3
    assert house.events("lost") == []
    house.check_told(event, "sleep")
    house.check_nobody_else_is_blamed()
    house.bench.run_for(15.0)
    assert house.snapshot()["nodes"]["n0"]["state"] == "ready"
    assert [one["node"] for one in house.events("joined")].count("n0") == 2
    assert house.bench.snapshot()["bands"]["quick"]["nodes"] == 4


def test_a_node_that_is_killed_while_it_falls_asleep() -> None:
    """Whatever it had begun to say, it is dead, and comes back."""
    plan = FaultPlan.model_validate(
        {
            "faults": [
                {"kind": "sleep", "clients": ["n0"], "at_s": 5, "lasts_s": 30},
                {"kind": "kill", "clients": ["n0"], "at_s": 5, "lasts_s": 10},
            ]
        }
    )
    house = House(faults=plan)
    house.bench.run_for(20.0)
    assert house.snapshot()["nodes"]["n0"]["state"] == "ready"
    house.bench.run_for(30.0)
    assert house.snapshot()["nodes"]["n0"]["state"] == "ready"


def test_two_nodes_of_one_id() -> None:
    house = House()
    house.bench.run_for(5.0)
    second = house.second("n0")
    event = house.run_until_told("twin", within_s=60.0)
    assert event["node"] == "n0"
    assert {life["host"] for life in event["lives"]} == {"", "attic"}
    assert house.trust()["n0"] == {"twin"}
    house.check_told(event, "attic", "Two nodes call themselves")
    house.check_told(house.run_until_told("distrusted", within_s=1.0, reason="twin"), "another id")
    house.check_nobody_else_is_blamed()
    second.stop(lambda: None)
    house.bench.run_for(145.0)
    assert house.trust()["n0"] == set()  # one of them has gone, and the other counts again
    assert [one["reason"] for one in house.events("restored")] == ["twin"]
    assert house.snapshot()["nodes"]["n0"]["state"] == "ready"


def test_a_node_that_floods_garbage() -> None:
    house = House()
    house.bench.run_for(5.0)
    stranger = house.bench.client("becomingone.home.node.flood")
    stranger.start()
    for number in range(200):
        for _ in range(5):
            stranger.publish(f"{BASE}/node/n0/phase/quick/tone", b"\xff" * (10 + number))
        house.bench.run_for(0.05)
    event = house.run_until_told("distrusted", within_s=1.0, reason="quarantine")
    assert event["node"] == "n0"
    seen = house.snapshot()
    assert "quarantine" in seen["nodes"]["n0"]["trust"]
    assert sum(seen["nodes"]["n0"]["refused"].values()) >= 1000
    assert seen["bands"]["quick"]["nodes"] == 3  # it is left out
    house.check_told(event, "left out")
    house.check_nobody_else_is_blamed()
    house.bench.run_for(40.0)
    assert house.trust()["n0"] == set()
    assert house.bench.snapshot()["bands"]["quick"]["nodes"] == 4
