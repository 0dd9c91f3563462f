"""Node kernels once a channel, then the hub's evaluator and emergence alone: what is shifted needs no network."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import math
from importlib import resources

import numpy as np

from becomingone.hub.config import HubConfig
from becomingone.hub.emergence.emergence import Emergence
from becomingone.hub.emergence.look import Request, look
from becomingone.hub.emergence.section import EmergenceSection
from becomingone.hub.emergence.spending import Spending
from becomingone.hub.emergence.watch import LEAST_BETWEEN_TAU, LOOK_EVERY
from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.kairos.bands import DEFAULT_BANDS
from becomingone.kairos.channel.demodulate import Demodulator
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.channel.reader import PhaseReader
from becomingone.kairos.channel.timing import Timing
from becomingone.runner import DirectRunner
from becomingone.wire.frame import Flags, PhaseFrame

NOW_US = 1_700_000_000_000_000
P_FALSE = 0.001
OFFSET_TAU_S = 60.0
BANDS = {band.name: band for band in DEFAULT_BANDS}


def table_text(name):
    content = resources.files("becomingone.data").joinpath(name).read_bytes()
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode()


def columns(name):
    text = table_text(name)
    heads = text.split("\n", 1)[0].strip().split(",")
    return heads, [row.split(",") for row in text.strip().split("\n")[1:]]


def gyroscope(leg):
    heads, rows = columns(f"walking-two-imus/{leg}.csv")
    at = heads.index("gyr_z_rad_s")
    return np.array([float(row[at]) for row in rows])


def gait():
    heads, rows = columns("gait-three-accelerometers/gait.csv")
    return {head: np.array([float(row[at]) for row in rows]) for at, head in enumerate(heads) if at}


def weather():
    start = datetime.datetime(2013, 1, 1, 6, tzinfo=datetime.UTC)
    found = {station: np.full(8730, math.nan) for station in ("EWR", "JFK", "LGA")}
    for row in csv.DictReader(io.StringIO(table_text("weather-three-airports/weather.csv.gz"))):
        when = datetime.datetime.fromisoformat(row["time_utc"])
        if row["temperature_degF"] != "NA":
            found[row["station"]][round((when - start).total_seconds() / 3600)] = float(row["temperature_degF"])
    return found


def frames(x, rate_hz, band, floor, every):
    """Give the frames of a channel whose kernel takes so many samples at once, as a node's pipeline does."""
    kernel = ChannelKernel(band, floor=floor, p_false=P_FALSE)
    found = []
    for first in range(0, len(x) // every * every, every):
        block = kernel.block(x[first : first + every], 1 / rate_hz)
        flags = (Flags.VALID if block.valid else Flags(0)) | (Flags(0) if block.decidable else Flags.UNDECIDABLE)
        found.append(
            PhaseFrame(
                boot=1,
                seq=len(found),
                time_us=NOW_US + round((first + every) / rate_hz * 1e6),
                phasors=block.phasors[-1:].astype(np.complex64),
                coherence=block.coherence if block.valid else 0.0,
                n_eff=block.n_eff,
                p=block.p if block.valid else 1.0,
                omega=block.omega,
                omega_sigma=block.omega_sigma,
                phase_sigma=block.phase_sigma,
                clock_sigma_s=0.0,
                flags=flags,
            )
        )
    return found


class Cell:
    """Some nodes with channels in one band, and what the hub tells of them.

    Parameters
    ----------
    nodes : sequence of str
        The node of each channel.
    """

    def __init__(self, nodes, *, band="stride", section=None, evaluate=True):
        self.table, self.roster = ChannelTable(), Roster()
        self.told = []
        self.bands = tuple(BANDS.values())
        self.band = band
        number = [band.name for band in self.bands].index(band)
        names = list(dict.fromkeys(nodes))
        for name in names:
            self.roster.enrol(name, 0)
        self.rows = [
            self.table.row(
                RowKey(node, band, f"c{channel}"), node=names.index(node), band=number, max_age_s=5.0, capability=1.0
            )
            for channel, node in enumerate(nodes)
        ]
        self.evaluator = MeshEvaluator(HubConfig(), self.table) if evaluate else None
        self.emergence = Emergence(
            section or EmergenceSection(),
            self.bands,
            self.table,
            self.roster,
            p_false=P_FALSE,
            offset_tau_s=OFFSET_TAU_S,
            runner=DirectRunner(),
            tell=lambda kind, content: self.told.append((self.seconds, kind, content)),
        )
        self.seconds = 0.0

    def run(self, channels):
        """Take frames of all channels, through the hub's evaluator."""
        for together in zip(*channels, strict=True):
            for row, frame in zip(self.rows, together, strict=True):
                self.table.store(row, frame)
            now_us = together[0].time_us + 1000
            self.seconds = (now_us - NOW_US) / 1e6
            self.emergence.take(self.evaluator.evaluate(now_us))
        return self

    def take(self, seconds, phasors, omega, *, coherence=1.0, weight=None, ceiling=1.0):
        """Take phasors, 0 where there is none, as if evaluated, the coherence given."""
        self.seconds = seconds
        table, now_us = self.table, NOW_US + round(seconds * 1e6)
        there = np.flatnonzero(phasors != 0.0)
        rows = np.array(self.rows, np.intp)
        table.phasors("tick_phasor")[rows] = phasors
        table.floats("omega")[rows] = omega
        table.floats("coherence")[rows] = coherence
        table.floats("weight")[rows] = np.where(phasors != 0.0, 1.0 if weight is None else weight, 0.0)
        rows = rows[there]
        state = BandState(
            name=self.band,
            valid=len(rows) > 0,
            time_us=now_us,
            channels=len(rows),
            nodes=len(np.unique(table["node"][rows])),
            weight=float(len(rows)),
            coherence=float(np.mean(coherence)) if len(rows) else 0.0,
            ceiling=ceiling,
            rows=rows,
        )
        self.emergence.take(MeshState(now_us, (state,)))

    def kinds(self):
        return [kind for _, kind, _ in self.told]

    def first(self, kind):
        return next(((at, content) for at, told, content in self.told if told == kind), None)


def stream(x, rate_hz, band, floor, every):
    """Give phasors and rates at every so many samples."""
    kernel = ChannelKernel(band, floor=floor, p_false=P_FALSE)
    n = len(x) // every
    u, omega = np.zeros(n, np.complex128), np.zeros(n)
    for i in range(n):
        block = kernel.block(x[i * every : (i + 1) * every], 1 / rate_hz)
        u[i], omega[i] = block.phasors[-1], block.omega
    return u, omega


# -- the last condition alone: all others taken for granted, which can only make more of false emergences --------------


def slots(x, rate_hz, band, floor, every):
    """Give the mean phasor of every so many samples behind a node's filter, 0 where there is none."""
    timing = Timing(band, 1 / rate_hz, real=True)
    z, weight = Demodulator(band).block(x, timing)
    t = np.arange(1, len(x) + 1) / rate_hz
    u = PhaseReader(floor, real=True).ticks(z, weight, t >= band.period_s, timing) * np.exp(-1j * band.omega * t)
    u = u[: len(u) // every * every].reshape(-1, every)
    mean = u.sum(axis=1)
    there = (2 * (u != 0.0).sum(axis=1) >= every) & (mean != 0.0)
    return np.where(there, mean / np.maximum(np.abs(mean), 1e-300), 0.0).astype(np.complex64)


def first_significant(u, spacing_s, band, section=None):
    """Look at nodes' slots, shape (n, nodes), when the hub would; give when a look is significant, s, and it."""
    section, tau_s = section or EmergenceSection(), band.tau_s
    spending = Spending(section.p_false, section.window_tau * tau_s)
    window = round(section.window_tau * tau_s / spacing_s)
    known = np.vstack((np.zeros((1, u.shape[1])), np.cumsum(u != 0.0, axis=0)))
    next_s = 0.0
    for n in range(1, u.shape[0] + 1):
        start = max(0, n - window)
        length_s = np.sort(known[n] - known[start])[-2] * spacing_s
        if n * spacing_s < next_s or length_s < (section.first_tau + section.settle_tau) * tau_s:
            continue
        next_s = n * spacing_s + max(LEAST_BETWEEN_TAU * tau_s, LOOK_EVERY * length_s)
        seen = look(
            Request(
                time_us=0,
                band=band,
                phasors=u[start:n],
                spacing_s=spacing_s,
                node=np.arange(u.shape[1]),
                weight=np.ones(u.shape[1]),
                trend_s=section.trend_tau * tau_s,
                settle_s=section.settle_tau * tau_s,
                least_s=section.first_tau * tau_s,
                alpha=spending.offer(round(n * spacing_s * 1e6)),
                seed=n,
            )
        )
        if seen.best is not None:
            spending.spend(seen.alpha * (1 if seen.recent is None else 2))
            if seen.significant:
                return n * spacing_s, seen
    return None
