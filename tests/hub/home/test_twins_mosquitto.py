"""Two processes that call themselves by one id, on a real Mosquitto."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.broker.fabrics import MosquittoFabric

from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.scheduling import LoopScheduler, MeshClock

pytestmark = pytest.mark.mosquitto

NODE = """
node: {name}
inputs:
  - {{name: d, kind: synthetic, bands: [stride], options: {{frequency_hz: 0.78, rate_hz: 50, noise: 0.1}}}}
broker: {{url: "mqtt://127.0.0.1:{port}"}}
state_dir: {folder}
"""


def test_two_processes_of_one_id_are_told_of_as_what_they_are(tmp_path: Path) -> None:
    fabric = MosquittoFabric()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        scheduler = LoopScheduler(fabric.loop)
        machine = HubMachine(boot=1, links=fabric.link, clock=MeshClock(scheduler), scheduler=scheduler)
        hub = Hub(HubConfig.model_validate({}), machine)
        hub.start()
        for number, name in enumerate(("attic", "attic", "cellar")):
            folder = tmp_path / f"{number}"
            folder.mkdir()
            file = folder / "node.yaml"
            file.write_text(NODE.format(name=name, port=fabric.port, folder=folder))
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "becomingone", "node", "run", str(file)],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        standing = hub.parts.standing
        assert fabric.until(lambda: "twin" in standing.of("attic"), timeout_s=120.0)
        why = standing.of("attic")["twin"]
        assert all(f"process {process.pid} " in why for process in processes[:2])
        assert fabric.until(
            lambda: (
                "twin" in hub.snapshot.get("nodes", {}).get("attic", {}).get("trust", {})
                and hub.snapshot["nodes"].get("cellar", {}).get("state") == "ready"
            ),
            timeout_s=60.0,
        )
        assert hub.snapshot["nodes"]["cellar"]["trust"] == {}
        assert all(process.poll() is None for process in processes)  # neither fell over it
        json.dumps(hub.snapshot, allow_nan=False)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        if "hub" in locals():
            for turn in hub._turns:
                turn.cancel()
        fabric.close()
