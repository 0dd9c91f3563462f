"""A real hub and a real node over TLS, each with nothing but its own rights: the rules leave out nothing they need."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from becomingone.broker.config import BrokerConfig

from .authority import Authority
from .raw_mqtt import RawClient
from .standing import Standing, free, installed, program

BANDS = {"motion": {"frequency_hz": 4.0, "tau_s": 0.2}}


def start(part: str, path: Path, content: dict) -> subprocess.Popen[str]:
    path.write_text(yaml.safe_dump(content))
    return subprocess.Popen(
        [sys.executable, "-m", "becomingone", part, "run", path, "--stop-with-stdin"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mosquitto", installed())
def test_hub_and_node_do_their_work_and_are_denied_nothing(mosquitto: Path | None, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    server = authority.server()
    port = free()
    config = BrokerConfig.model_validate(
        {
            "listeners": [{"port": port, "tls": True}],
            "tls": {"certificate": server.certificate, "key": server.key, "ca": authority.ca},
            "identities": {"nodes": ["kitchen"], "observers": ["wall"]},
            "state_dir": tmp_path / "broker",
        }
    )

    def settings(name: str) -> dict:
        identity = authority.client(name)
        return {
            "url": f"mqtts://127.0.0.1:{port}", "ca": str(authority.ca), "certificate": str(identity.certificate),
            "key": str(identity.key), "keepalive_s": 2,
        }  # fmt: skip

    common = {"state_dir": str(tmp_path / "state"), "bands": BANDS}
    node = {
        **common, "node": "kitchen", "hardware": "mac_mini", "broker": settings("kitchen"),
        "inputs": [{"name": "wave", "kind": "synthetic", "options": {"frequency_hz": 4.0}}],
        "outputs": [{"name": "light", "kind": "terminal"}], "health_s": 1,
    }  # fmt: skip
    context = ssl.create_default_context(cafile=str(authority.ca))
    wall = authority.client("observer:wall")
    context.load_cert_chain(wall.certificate, wall.key)
    with (
        Standing(config, program(mosquitto), more_lines="log_type debug\n") as broker,
        RawClient(port, version=5, tls=context) as observer,
        start("hub", tmp_path / "hub.yaml", {**common, "broker": settings("hub")}) as hub,
        start("node", tmp_path / "node.yaml", node) as kitchen,
    ):
        try:
            observer.subscribe("#")
            seen: dict[str, bytes] = {}
            end = time.monotonic() + 30

            def satisfied() -> bool:
                snapshot = json.loads(seen.get("becomingone/home/snapshot", b"{}"))
                works = snapshot.get("nodes", {}).get("kitchen", {}).get("state") == "ready"
                driven = b'"command"' in seen.get("becomingone/home/node/kitchen/output/light/state", b"")
                figures = snapshot.get("broker", {}).get("version", "").startswith("mosquitto")
                return works and driven and figures and snapshot.get("frames", 0) > 5

            while not satisfied():
                assert time.monotonic() < end, (seen, broker.lines[-20:])
                seen |= {one.topic: one.payload for one in observer.drain()}
                time.sleep(0.05)
        finally:
            for process in (kitchen, hub):
                process.communicate("", timeout=20)
        assert "becomingone/home/node/kitchen/phase/motion/tone" not in seen  # an observer sees results
        observer.publish("becomingone/home/snapshot", b"forged")  # so that it is known what a denial looks like
        while not (denied := [line for line in broker.lines if "enied" in line]):
            assert time.monotonic() < end + 10.0, broker.lines[-20:]
            time.sleep(0.05)
        assert len(denied) == 1, denied
        assert "Denied PUBLISH from observer:wall" in denied[0]
