"""Descriptions and frames of nodes that do not exist, for the hub's tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from becomingone.hub.config import IngestSection
from becomingone.hub.intake.ingest import Ingest
from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.kairos.bands import Band
from becomingone.wire.announce import About, Health
from becomingone.wire.frame import Flags, PhaseFrame, encode_frame
from becomingone.wire.topics import Topics

NOW_US = 1_700_000_000_000_000
NOW_NS = 50_000_000_000
TOPICS = Topics("becomingone", "home")
STRIDE = Band.of("stride", 0.78, 1.0)
MOTION = Band.of("motion", 1.5, 0.5)
BANDS = (STRIDE, MOTION)
UNIFORM = 1.8
"""Standard deviation of a phase about which nothing is known."""


def band_about(band: Band) -> dict[str, float]:
    return {
        "frequency_hz": band.frequency_hz,
        "tau_s": band.tau_s,
        "lag_s": band.lag_s,
        "coherence_tau_s": band.coherence_tau_s,
    }


def channel_about(name: str = "tone", *bands: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "device": "d",
        "kind": "synthetic",
        "unit": "V",
        "quantity": "voltage",
        "rate_hz": 50.0,
        "floor": 0.0,
        "origin": "live",
        "bands": tuple(bands or ("stride", "motion")),
        "interval_s": 0.1,
        **fields,
    }


def about(node: str = "n", **fields: Any) -> About:
    return About.model_validate(
        {
            "protocol": 1,
            "node": node,
            "hardware": "pi_4",
            "tau_s": (0.01, 60.0),
            "capability": 1.0,
            "interval_s": 0.1,
            "bands": {band.name: band_about(band) for band in BANDS},
            "channels": (channel_about(),),
            "devices": (),
            "outputs": (),
            "software": "test",
            "config_sha256": "0" * 64,
            "boot": 1,
            "pid": 0,
            **fields,
        }
    )


def health() -> Health:
    """A node that has dropped three frames."""
    return Health(
        uptime_s=1,
        frames=5,
        dropped=3,
        dropped_reasons={},
        rss_bytes=None,
        cpu_s=0,
        clock_sigma_s=0,
        refused_commands={},
    )


def frame(phase: float = 0.5, **fields: Any) -> PhaseFrame:
    """Make a valid frame of one sample, now."""
    given: dict[str, Any] = {
        "boot": 1,
        "seq": 0,
        "time_us": NOW_US,
        "phasors": np.array([np.exp(1j * phase)], np.complex64),
        "coherence": 0.9,
        "n_eff": 10.0,
        "p": 0.001,
        "omega": STRIDE.omega,
        "omega_sigma": 0.0,
        "phase_sigma": 0.0,
        "clock_sigma_s": 0.0,
        "flags": Flags.VALID,
        **fields,
    }
    return PhaseFrame(**given)


class Intake:
    """A roster, a table and an ingest, as the hub has them."""

    def __init__(self, *nodes: About) -> None:
        self.roster = Roster()
        self.table = ChannelTable()
        self.ingest = Ingest(TOPICS, BANDS, self.roster, self.table, rules=IngestSection())
        for node in nodes:
            self.describe(node)

    def describe(self, node: About) -> None:
        self.roster.enrol(node.node, NOW_NS).about = node
        self.ingest.described(node.node)

    def take(
        self, given: PhaseFrame | bytes, topic: str = "n/phase/stride/tone", *, now_us: int = NOW_US
    ) -> str | None:
        """Take a frame; give the reason of its refusal."""
        payload = given if isinstance(given, bytes) else encode_frame(given)
        error = self.ingest.take(f"{TOPICS.base}/node/{topic}", payload, now_us=now_us, now_ns=NOW_NS)
        return None if error is None else error.reason

    def phase(self, node: str = "n", band: str = "stride", channel: str = "tone") -> float:
        row = self.table.keys.index(RowKey(node, band, channel))
        return float(np.angle(self.table["phasor"][row]))

    @property
    def content(self) -> tuple[object, ...]:
        """Everything that the table holds."""
        return (
            tuple(self.table.keys),
            *(self.table[name].tobytes() for name in ("time_us", "phasor", "flags", "alive")),
        )
