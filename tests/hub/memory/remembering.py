"""A memory that remembers in a list, and meshes that never were, for the tests of what is remembered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from becomingone.hub.memory.protocol import Committed, Entry, Reading, Record, StreamKey, Tell
from becomingone.hub.memory.recorder import Recorder, RememberSection
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.kairos.bands import Band
from becomingone.wire.frame import Flags, PhaseFrame, encode_frame

START_US = 1_700_000_000_000_000
STRIDE = Band.of("stride", 0.78, 1.0)
BREATH = Band.of("breath", 0.25, 4.0)
BANDS = (STRIDE, BREATH)
TICK_US = 50_000


class Listed:
    """A memory in a list; bodies pass through JSON, as a database's do."""

    def __init__(self) -> None:
        self.told: list[Entry] = []
        self.kept: list[Record] = []
        self.room = True

    def append(self, kind: str, time_us: int, body: Mapping[str, Any]) -> bool:
        if self.room:
            text = json.dumps(body, allow_nan=False, sort_keys=True)
            self.told.append(Entry(len(self.told) + 1, kind, time_us, json.loads(text)))
        return self.room

    def entries(self, kind: str, start_us: int, end_us: int, *, limit: int | None = None) -> Iterator[Entry]:
        found = [entry for entry in self.told if entry.kind == kind and start_us <= entry.time_us < end_us]
        return iter(sorted(found, key=lambda entry: (entry.time_us, entry.number))[:limit])

    def frames(
        self,
        start_us: int,
        end_us: int,
        *,
        node: str | None = None,
        band: str | None = None,
        channel: str | None = None,
    ) -> Iterator[Record]:
        found = [
            record
            for record in self.kept
            if start_us <= record.time_us < end_us
            and node in (None, record.stream.node)
            and band in (None, record.stream.band)
            and channel in (None, record.stream.channel)
        ]
        return iter(sorted(found, key=lambda record: record.time_us))

    def last(self, kind: str) -> Entry | None:
        return next((entry for entry in reversed(self.told) if entry.kind == kind), None)

    def summary(self) -> dict[str, Any]:
        return {}

    def of(self, kind: str) -> list[Entry]:
        return [entry for entry in self.told if entry.kind == kind]

    def reader(self) -> Reading:
        return self

    def marks(self) -> Mapping[StreamKey, int]:
        return {}

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        self.kept.extend(records)
        done(marks)

    def figures(self) -> dict[str, Any]:
        return {}

    def watch(self, tell: Tell) -> None:
        del tell

    def close(self) -> None:
        """Nothing is held."""


class Walk:
    """A mesh whose mean field goes at the carrier and strays a little, tick by tick."""

    def __init__(self, seed: int, bands: Sequence[Band] = BANDS, *, channels: int = 4) -> None:
        self.rng = np.random.default_rng(seed)
        self.bands = bands
        self.table = ChannelTable()
        self.channels = channels
        self.offsets = self.rng.uniform(-np.pi, np.pi, (len(bands), channels))
        for number, band in enumerate(bands):
            for channel in range(channels):
                key = RowKey(f"n{channel}", band.name, "leg")
                self.table.row(key, node=channel, band=number, max_age_s=10.0, capability=1.0)
        self.stray = np.zeros(len(bands))

    def tick(self, time_us: int, *, collapsed: bool = False, valid: bool = True) -> MeshState:
        """Give a tick's state, and write the table."""
        self.stray += 0.02 * self.rng.standard_normal(len(self.bands))
        states: list[BandState] = []
        for number, band in enumerate(self.bands):
            turn = np.exp(1j * (band.omega * ((time_us - START_US) / 1e6) + self.stray[number]))
            rows = np.flatnonzero(self.table["band"] == number)
            phasors = turn * np.exp(1j * (self.offsets[number] + 0.1 * self.rng.standard_normal(self.channels)))
            coherence = float(self.rng.uniform(0.7, 0.9))
            self.table.phasors("tick_phasor")[rows] = phasors
            self.table.floats("coherence")[rows] = coherence
            self.table.floats("weight")[rows] = 1.0
            states.append(
                BandState(
                    name=band.name,
                    valid=valid,
                    time_us=time_us,
                    channels=self.channels if valid else 0,
                    nodes=self.channels if valid else 0,
                    weight=float(self.rng.uniform(1.0, 4.0)),
                    coherence=coherence,
                    n_eff=40.0,
                    p=1e-5,
                    decidable=True,
                    order=float(self.rng.uniform(0.5, 1.0)),
                    order_p=0.01,
                    mean_field=complex(turn * self.rng.uniform(0.5, 1.0)),
                    omega=band.omega,
                    collapsed=collapsed,
                    rows=rows if valid else rows[:0],
                )
            )
        return MeshState(time_us, tuple(states))


def recorder(memory: Listed, walk: Walk, **section: Any) -> Recorder:
    return Recorder(RememberSection(**section), walk.bands, walk.table, memory=memory)


def run(made: Recorder, walk: Walk, start_us: int, end_us: int, *, tick_us: int = TICK_US) -> list[MeshState]:
    """Take ticks from one time until before another."""
    states = [walk.tick(time_us) for time_us in range(start_us, end_us, tick_us)]
    for state in states:
        made.take(state)
    return states


def frame(
    seq: int, time_us: int, phases: Sequence[float], *, coherence: float = 0.8, flags: Flags = Flags.VALID
) -> bytes:
    phasors = np.exp(1j * np.asarray(phases)).astype(np.complex64)
    return encode_frame(
        PhaseFrame(
            boot=3,
            seq=seq,
            time_us=time_us,
            spacing_us=100_000.0 if len(phases) > 1 else None,
            phasors=phasors,
            coherence=coherence,
            n_eff=40.0,
            p=1e-4,
            omega=4.9,
            omega_sigma=0.01,
            phase_sigma=0.1,
            clock_sigma_s=1e-4,
            flags=flags,
        )
    )


def kept(seq: int, time_us: int, phases: Sequence[float], *, channel: str = "leg") -> Record:
    return Record(StreamKey("n0", "stride", channel, 3), seq, time_us, frame(seq, time_us, phases))
