"""Hub and nodes with keys that were made by the commands speak sealed, and nobody else is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from becomingone.cli import main
from becomingone.errors import FrameError
from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.node.config import NodeConfig
from becomingone.provisioning.identities.cell_secrets import CellSecrets
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.wire.signature import Signer, Verifier

OPTIONS = {"frequency_hz": 0.784, "noise": 0.1, "rate_hz": 20, "seed": 1, "floor": 0.05}
TONE = {"name": "leg", "kind": "synthetic", "bands": ["stride"], "options": OPTIONS}


def keys(folder: Path) -> CellSecrets:
    assert main(["provision", "ca", "--cell-dir", str(folder)]) == 0
    return CellSecrets.open(folder / "secrets" / "cell.yaml")


def test_a_cell_with_these_keys_is_authenticated(tmp_path: Path) -> None:
    own, other = keys(tmp_path / "own"), keys(tmp_path / "other")
    bench = Bench(1)
    machine = HubMachine(boot=1, links=bench.broker.link, clock=MeshClock(bench.scheduler), scheduler=bench.scheduler)
    Hub(HubConfig.model_validate({"security": {"secret": own.secret.hex()}}), machine).start()
    for node, cell in (("thigh", own), ("shank", own), ("thief", other)):
        security = {"key": cell.node_key("becomingone", "home", node).hex()}
        bench.add_node(NodeConfig.model_validate({"node": node, "inputs": [TONE], "security": security}))
    bench.run_for(8.0)
    seen = json.loads(bench.broker.retained["becomingone/home/snapshot"])
    assert seen["authenticated"]
    for name in ("thigh", "shank"):
        assert seen["nodes"][name]["state"] == "ready"
        assert set(seen["nodes"][name]["refused"]) <= {"before_start"}  # what the hub's own start forbids, for a second
    assert seen["bands"]["stride"]["channels"] == 2
    assert seen["refused"]["forged"] > 0  # the thief's


def test_the_hub_signs_with_them_and_nodes_check_it(tmp_path: Path) -> None:
    own, other = keys(tmp_path / "own"), keys(tmp_path / "other")
    topic = "becomingone/home/sync/stride"
    told = Signer(own.signing_key).sign(topic, b"\xa1\x01\x07")
    assert Verifier(own.hub_public_key).open(topic, told) == told
    with pytest.raises(FrameError, match="forged"):
        Verifier(other.hub_public_key).open(topic, told)
    # Both are what the configurations take.
    NodeConfig.model_validate(
        {
            "node": "kitchen",
            "security": {
                "key": own.node_key("becomingone", "home", "kitchen").hex(),
                "hub_public_key": own.hub_public_key.hex(),
            },
        }
    )
    HubConfig.model_validate({"security": {"secret": own.secret.hex(), "signing_key": own.signing_key.hex()}})
