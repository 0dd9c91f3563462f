"""Nodes' controls on the simulated network, evidence by formula, and a hub's field whose phase is known exactly."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.sync import SyncPublisher
from becomingone.kairos.bands import Band
from becomingone.node.control import Control
from becomingone.node.pipeline import ChannelId
from becomingone.node.sections import EmissarySection
from becomingone.node.trust import Trust
from becomingone.scheduling import Clock, MeshClock, Repeating
from becomingone.sim.bench import Bench
from becomingone.sim.broker import SimLink
from becomingone.sim.plan import FaultPlan
from becomingone.wire.frame import Flags, PhaseFrame
from becomingone.wire.signature import Signer, Verifier
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")
STRIDE = Band.of("stride", 0.78, 1.0)
MOTION = Band.of("motion", 1.5, 0.5)
BANDS = (STRIDE, MOTION)
START_US = 1_700_000_000_000_000
WALK = 2 * math.pi * 0.784
"""rad/s of the mesh's field."""


def frame(time_us: int, phase: float, omega: float, **fields: Any) -> PhaseFrame:
    """A coherent, valid frame of one sample."""
    given: dict[str, Any] = {
        "boot": 1,
        "seq": 0,
        "time_us": time_us,
        "phasors": np.array([cmath.exp(1j * phase)], np.complex64),
        "coherence": 0.9,
        "n_eff": 40.0,
        "p": 1e-9,
        "omega": omega,
        "omega_sigma": 0.0,
        "phase_sigma": 0.0,
        "clock_sigma_s": 0.0,
        "flags": Flags.VALID,
        **fields,
    }
    return PhaseFrame(**given)


class Cell:
    """A broker with a network in virtual time."""

    def __init__(self, seed: int = 1, **network: Any) -> None:
        faults = FaultPlan.model_validate({"network": network}) if network else None
        self.bench = Bench(seed, faults=faults)
        self.scheduler = self.bench.scheduler

    def run(self, seconds: float) -> None:
        self.bench.run_for(seconds)

    def link(self, client_id: str) -> SimLink:
        return self.bench.client(client_id)

    def phase(self, omega: float = WALK, start: float = 0.3) -> float:
        """The phase of what turns at a rate since the beginning, now."""
        return math.remainder(start + omega * (self.scheduler.time_us() - START_US) * 1e-6, math.tau)


class FieldHub:
    """A hub that publishes a field of modulus 0.8 and the phase of `Cell.phase`, 20 times a second."""

    def __init__(self, cell: Cell, *, signer: Signer | None = None, boot: int = 1, cell_size: int = 2) -> None:
        self.field: Callable[[], complex] = lambda: cmath.rect(0.8, cell.phase())
        self.link = cell.link(f"hub-{boot}")
        self.link.start()
        self.cell_size = cell_size
        self._cell = cell
        self._publisher = SyncPublisher(TOPICS, BANDS, boot, tick_hz=20.0, publish=self.link.publish, signer=signer)
        self._turns = Repeating(cell.scheduler, 50_000_000, self._tick)

    def _tick(self) -> None:
        now_us = self._cell.scheduler.time_us()
        band = BandState(
            name="stride", valid=True, time_us=now_us, weight=1.0, coherence=0.8, mean_field=self.field(), omega=WALK
        )
        self._publisher.take(MeshState(now_us, (band,)), self.cell_size)

    def die(self) -> None:
        self._turns.cancel()


class Node:
    """A node's `Control`, and evidence of a tone at its own rate."""

    def __init__(
        self,
        cell: Cell,
        name: str = "n",
        *,
        omega: float | None = None,
        clock: Clock | None = None,
        key: bytes | None = None,
        verifier: Verifier | None = None,
        sigma_s: float = 1e-4,
        section: EmissarySection | None = None,
        output_bands: tuple[str, ...] = ("stride",),
        **options: Any,
    ) -> None:
        self.sizes: list[int] = []
        self.clock = MeshClock(clock or cell.scheduler, sigma_s)
        self.link = cell.link(name)
        self.link.start()
        self.omega = omega
        self.fields: dict[str, Any] = {}
        self._cell = cell
        self._seq = 0
        self.control = Control(
            name,
            bands=BANDS,
            section=section or EmissarySection(),
            link=self.link,
            topics=TOPICS,
            trust=Trust(key, 1),
            verifier=verifier,
            clock=self.clock,
            scheduler=cell.scheduler,
            boot=1,
            on_cell_size=self.sizes.append,
            output_bands=output_bands,
            **options,
        )
        self.control.start()
        self._turns = Repeating(cell.scheduler, 100_000_000, self._sample)

    def _sample(self) -> None:
        if self.omega is not None:
            self._seq += 1
            given = frame(self.clock.now_us(), self._cell.phase(self.omega, 1.0), self.omega, seq=self._seq)
            self.control.evidence(ChannelId("stride", "leg"), given._replace(**self.fields))

    @property
    def phase(self) -> float:
        """The control phase now."""
        emissary = self.control.emissary("stride")
        assert emissary is not None
        return emissary.phase(self.clock.monotonic_ns())

    def off(self, omega: float = WALK, start: float = 0.3) -> float:
        """How far the control phase is from the field's, or from that of the node's own evidence."""
        return abs(math.remainder(self.phase - self._cell.phase(omega, start), math.tau))
