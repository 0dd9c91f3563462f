"""WE end to end: a recorded leg, its thigh and its shank two groups, through real nodes and the real hub."""

from __future__ import annotations

import json
from typing import Any

import pytest

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench

from .parts import TOPICS


def node(name: str, file: str) -> NodeConfig:
    """A sensor of the walking leg, as in the first run's scenario: seventeen whole strides, again and again."""
    options = {
        "file": f"package:walking-two-imus/{file}.csv",
        "columns": {"gyr_z": "gyr_z_rad_s"},
        "unit": "rad/s",
        "quantity": "angular_rate",
        "floor": 0.05,
        "rate_hz": 120,
        "from_s": 6.0,
        "until_s": 27.7,
    }
    sensor = {"name": "leg", "kind": "recording", "bands": ["stride"], "options": options}
    return NodeConfig.model_validate({"node": name, "inputs": [sensor]})


@pytest.mark.slow
def test_thigh_and_shank_of_one_leg_are_one_until_one_of_them_dies() -> None:
    bench = Bench(3)
    pairs = {"leg": {"a": ["thigh"], "b": ["shank/*"], "bands": ["stride"]}}
    bench.add_hub(HubConfig.model_validate({"we": {"pairs": pairs}}))
    for name, file in (("thigh", "upper_leg"), ("shank", "lower_leg")):
        bench.add_node(node(name, file))
    bench.run_for(42.0)
    found: dict[str, Any] = bench.snapshot()["we"]["pairs"]["leg"]["stride"]
    assert found["one"] is True
    assert found["offset"] == pytest.approx(0.74, abs=0.1)
    assert found["fluctuation_r"] > 0.8
    event = json.loads(bench.broker.retained[f"{TOPICS.event('we')}/last"])
    assert (event["name"], event["band"], event["a_nodes"], event["b_nodes"]) == ("leg", "stride", ["thigh"], ["shank"])
    assert event["fluctuation_p"] <= event["p_needed"]
    bench.kill("shank")
    bench.run_for(12.0)
    assert bench.snapshot()["we"]["pairs"]["leg"]["stride"]["one"] is False
    event = json.loads(bench.broker.retained[f"{TOPICS.event('we_dissolution')}/last"])
    assert event["why"] == ["fields"]
