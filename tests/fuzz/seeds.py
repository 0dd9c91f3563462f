"""Inputs to begin with: the published vectors, and descriptions as nodes send them."""

from __future__ import annotations

import json
from pathlib import Path

VECTORS = Path(__file__).parents[2] / "docs" / "vectors"
LARGEST_SEED = 4096


def vectors(*names: str) -> list[bytes]:
    """The messages of the published files; the longest say nothing that a short one does not."""
    found = [
        bytes.fromhex(vector["hex"]) for name in names for vector in json.loads((VECTORS / f"{name}.json").read_text())
    ]
    return [data for data in found if len(data) <= LARGEST_SEED]


def refused(message: str) -> list[bytes]:
    """What must not be taken of one kind of message."""
    found = json.loads((VECTORS / "refused-others.json").read_text())
    return [bytes.fromhex(vector["hex"]) for vector in found if vector["message"] == message]


def remote(message: str) -> list[bytes]:
    """Texts of one kind, right ones and wrong ones."""
    found = json.loads((VECTORS / "remote.json").read_text())
    return [vector["payload"].encode() for vector in found if vector["message"] == message]


ABOUT = {
    "protocol": 1,
    "node": "shank",
    "hardware": "pi_zero",
    "tau_s": [0.01, 1.0],
    "capability": 1.0,
    "interval_s": 0.5,
    "bands": {"stride": {"frequency_hz": 0.78, "tau_s": 1.0, "lag_s": 8.974, "coherence_tau_s": 40.0}},
    "channels": [
        {
            "name": "x",
            "device": "imu",
            "kind": "recording",
            "unit": "m/s²",
            "quantity": "acceleration",
            "rate_hz": 50.0,
            "floor": 0.01,
            "origin": "replayed",
            "speed": 1.0,
            "bands": ["stride"],
            "interval_s": 0.5,
        }
    ],
    "devices": [{"name": "imu", "kind": "recording", "available": False, "reason": "no such file"}],
    "outputs": [{"name": "lamp", "kind": "terminal", "role": "display"}],
    "software": "becomingone 0.1",
    "config_sha256": "00",
    "boot": 7,
    "pid": 1,
}

HEALTH = {
    "uptime_s": 1.5,
    "frames": 10,
    "dropped": 1,
    "dropped_reasons": {"disconnected": 1},
    "rss_bytes": None,
    "cpu_s": 0.2,
    "clock_sigma_s": 0.01,
    "refused_commands": {"expired": 2},
}

OUTPUT_STATE = {"doing": "command", "why": "the hub", "values": {"hue": 120.0, "brightness": 0.5}}

HUB_ABOUT = {
    "protocol": 1,
    "instance": "0123456789abcdef",
    "boot": 7,
    "host": "attic",
    "pid": 812,
    "started_us": 1_700_000_000_000_000,
    "software": "becomingone 0.1",
    "said_us": 1_700_000_001_000_000,
}


def texts(*values: object) -> list[bytes]:
    """JSON texts, and three that are none."""
    return [*(json.dumps(value).encode() for value in values), b"", b"{", b"nan"]
