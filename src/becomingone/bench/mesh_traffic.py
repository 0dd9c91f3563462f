"""Nodes that do not exist: their descriptions and phase frames, sealed, as MQTT packets ready to be sent."""

from __future__ import annotations

import cmath
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from becomingone.bench.raw_mqtt import publish_packet
from becomingone.wire.clock import ClockPing, encode_ping
from becomingone.wire.frame import Flags, PhaseFrame, encode_frame
from becomingone.wire.seal import node_key, seal, seal_json
from becomingone.wire.topics import Topics

SECRET: Final = bytes(range(32))
"""The secret of a cell that exists for a minute on loopback."""

BAND: Final = "pulse"
FREQUENCY_HZ: Final = 1.0
TAU_S: Final = 1.0
"""The one band of these cells."""

LAMP: Final = "lamp"
"""The output that some nodes have."""

INTERVAL_S: Final = 20.0
"""Seconds between frames as the nodes describe them: frames that are made in advance are not late then."""

BLOCK_SPACING_US: Final = 1_000.0


@dataclass(slots=True)
class Cell:
    """A cell of nodes that all have the same channels in one band.

    Parameters
    ----------
    nodes, channels : int
        Nodes, and channels of each.
    outputs : int
        The first so many nodes have a display called lamp.
    sealed : bool
        Whether it is a cell with keys.
    """

    nodes: int
    channels: int
    outputs: int = 0
    sealed: bool = True
    topics: Topics = field(default_factory=lambda: Topics("becomingone", "bench"))
    _keys: list[bytes] = field(default_factory=list[bytes])
    _seq: int = 0
    _pings: int = 0

    def __post_init__(self) -> None:
        self._keys = [node_key(SECRET, "becomingone", "bench", name) for name in map(self.name, range(self.nodes))]

    @staticmethod
    def name(number: int) -> str:
        """Give a node's id."""
        return f"node{number}"

    @property
    def security(self) -> str:
        """Give the hub's section ``security``, as YAML."""
        return f"{{secret: {SECRET.hex()}}}" if self.sealed else "{}"

    def introductions(self) -> bytes:
        """Write the packets in which all nodes describe themselves and are ready."""
        return b"".join(self._introduction(number) for number in range(self.nodes))

    def _introduction(self, number: int) -> bytes:
        name = self.name(number)
        topic = self.topics.about(name)
        about = json.dumps(self._about(name, number)).encode()
        if self.sealed:
            about = seal_json(self._keys[number], topic, about, 1)
        state = publish_packet(self.topics.state(name), b"ready", retain=True)
        return publish_packet(topic, about, retain=True) + state

    def _about(self, name: str, number: int) -> dict[str, Any]:
        channel = {
            "device": "bench",
            "kind": "synthetic",
            "unit": "V",
            "quantity": "voltage",
            "rate_hz": 50.0,
            "floor": 0.0,
            "origin": "simulated",
            "bands": [BAND],
            "interval_s": INTERVAL_S,
        }
        band = {"frequency_hz": FREQUENCY_HZ, "tau_s": TAU_S, "lag_s": 7.0, "coherence_tau_s": 40.0}
        return {
            "protocol": 1,
            "node": name,
            "hardware": "pi_4",
            "tau_s": [0.01, 60.0],
            "capability": 1.0,
            "interval_s": 600.0,
            "bands": {BAND: band},
            "channels": [{"name": f"c{channel_number}", **channel} for channel_number in range(self.channels)],
            "devices": [],
            "outputs": [{"name": LAMP, "kind": "bench", "role": "display"}] if number < self.outputs else [],
            "software": "bench",
            "config_sha256": "0" * 64,
            "boot": 1,
            "pid": 0,
        }

    def frames(self, each: int, *, samples: int = 1, rng: random.Random) -> list[bytes]:
        """Write the next frames of every channel, as packets in the order in which time brings them.

        Parameters
        ----------
        each : int
            Frames of each channel.
        samples : int
            Complex samples in a frame.
        rng : random.Random
            Draws the figures: all the shapes that real ones have come up.
        """
        time_us = time.time_ns() // 1_000 - round(BLOCK_SPACING_US) * (samples - 1)
        topics = [
            (number, self.topics.phase(self.name(number), BAND, f"c{channel}"))
            for number in range(self.nodes)
            for channel in range(self.channels)
        ]
        packets: list[bytes] = []
        for _ in range(each):
            for number, topic in topics:
                payload = encode_frame(make_frame(self._seq, time_us, samples, rng))
                if self.sealed:
                    payload = seal(self._keys[number], topic, payload, 1)
                packets.append(publish_packet(topic, payload))
            self._seq += 1
            time_us += 1
        return packets

    def key(self, number: int) -> bytes | None:
        """Give the key that a node shares with the hub; None in a cell without keys."""
        return self._keys[number] if self.sealed else None

    def phase_topic(self, number: int) -> str:
        """Give the topic of a node's first channel."""
        return self.topics.phase(self.name(number), BAND, "c0")

    def steady(self, number: int, frame: PhaseFrame) -> tuple[str, bytes]:
        """Seal a frame of a node's first channel; gives topic and payload."""
        topic = self.phase_topic(number)
        payload = encode_frame(frame)
        return topic, seal(self._keys[number], topic, payload, 1) if self.sealed else payload

    def ping(self) -> bytes:
        """Write a packet that the hub answers when it has had all before it; by another node each time."""
        number = self._pings % self.nodes
        topic = self.topics.clock_ping(self.name(number))
        payload = encode_ping(ClockPing(boot=1, seq=self._pings, t1_ns=0))
        if self.sealed:
            payload = seal(self._keys[number], topic, payload, 1)
        self._pings += 1
        return publish_packet(topic, payload)


def make_frame(seq: int, time_us: int, samples: int, rng: random.Random) -> PhaseFrame:
    """Make a frame whose figures are drawn."""
    phase = rng.uniform(-cmath.pi, cmath.pi)
    step = 2.0 * np.pi * FREQUENCY_HZ * BLOCK_SPACING_US * 1e-6
    phasors = np.exp(1j * (phase + step * np.arange(samples))).astype(np.complex64)
    return PhaseFrame(
        boot=1,
        seq=seq,
        time_us=time_us,
        phasors=phasors,
        spacing_us=None if samples == 1 else BLOCK_SPACING_US,
        coherence=rng.random(),
        n_eff=1.0 + 40.0 * rng.random(),
        p=rng.random() ** 4,
        omega=2.0 * np.pi * (FREQUENCY_HZ + 0.01 * rng.gauss(0.0, 1.0)),
        omega_sigma=0.01 * rng.random(),
        phase_sigma=0.1 * rng.random(),
        clock_sigma_s=1e-4 * rng.random(),
        flags=Flags.VALID,
        resonance=0.99 * cmath.rect(rng.random(), phase),
    )
