"""One mesh tick of one band at growing numbers of nodes, beside one numpy pass over the same arrays.

Rows named ``tick`` are the kernel's part, on arrays that are at hand. Rows named ``hub`` are the whole of what the hub
does at a tick: it takes the channels of the band from its table, evaluates them and writes back what it found.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Final

import numpy as np

from becomingone.bench.report import Report, Row
from becomingone.bench.timing import Paired, paired_fresh
from becomingone.config.sections import BandSection
from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.kairos.mesh.band_tick import Channels, MeshBand
from becomingone.wire.frame import Flags

SIZES: Final = {30: None, 1_000: 0.3e-3, 100_000: 20e-3}
"""Nodes, and the seconds that a tick may take."""

MOST_GROWTH: Final = 1.05
"""Greatest exponent of time against nodes that counts as linear."""

_TICK_US: Final = 250_000
_START_US: Final = 1_700_000_000_000_000
_OMEGA: Final = 2.0 * math.pi * 1.5
_TAU_S: Final = 0.5
_BETWEEN: Final = 3
_COLUMNS: Final = tuple(field.name for field in fields(Channels) if field.name != "ids")


def run(*, sizes: dict[int, float | None] | None = None, rounds: int = 100) -> Report:
    """Measure a tick at each size.

    Parameters
    ----------
    sizes : dict of int to float or None
        Nodes, and the seconds a tick may take; None without a bound. Left out: those of the stated targets.
    rounds : int
        Rounds at each size up to 1,000 nodes, a quarter beyond; ≥ 1.
    """
    wanted = dict(SIZES) if sizes is None else sizes
    rows: list[Row] = []
    for what, measured in (("tick of", measure), ("hub", measure_hub)):
        timings = {
            n: measured(n, rounds=rounds if n <= 1_000 else -(-rounds // 4), calls=max(1, min(10, 10_000 // n)))
            for n in wanted
        }
        rows += [_row(f"{what} {n}", n, timings[n], bound) for n, bound in wanted.items()]
        bounded = [n for n, bound in wanted.items() if bound is not None]
        if len(bounded) >= 2:
            small, large = min(bounded), max(bounded)
            growth = math.log(timings[large].ours_s / timings[small].ours_s) / math.log(large / small)
            target = f"linear: at most {MOST_GROWTH:g}"
            name = f"growth from {small} to {large} nodes" if measured is measure else f"hub growth to {large}"
            rows.append(Row(name, "exponent", 1.0, growth, growth, target, growth <= MOST_GROWTH))
    most = max(wanted)
    apart = measure_hub(-(-most // _BETWEEN), rounds=-(-rounds // 4), calls=1, bands=_BETWEEN)
    rows.append(_row(f"hub {most}, of {_BETWEEN} bands", most, apart, None))
    return Report("tick", rows)


def measure(n: int, *, rounds: int, calls: int) -> Paired:
    """Time ticks of n nodes and passes over their arrays in turn.

    Parameters
    ----------
    n : int
        Nodes, ≥ 1.
    rounds, calls : int
        As for :func:`becomingone.bench.timing.paired_fresh`.
    """
    world = _World(n)
    band = MeshBand(80.0 * _TAU_S, 4.0 * _TAU_S, max_share=0.25 if n >= 8 else 1.0)
    # The first ticks grow the tables and find every channel unknown.
    for _ in range(3):
        world.advance()
        band.tick(world.channels, world.now_us)
    return paired_fresh(
        lambda: [getattr(world.channels, field.name).sum() for field in fields(Channels)],
        lambda: band.tick(world.channels, world.now_us),
        world.advance,
        rounds=rounds,
        calls=calls,
    )


def measure_hub(n: int, *, rounds: int, calls: int, bands: int = 1) -> Paired:
    """Time the hub's evaluation of n nodes, from its table and back, and passes over the same columns of one band.

    Parameters
    ----------
    n : int
        Nodes, one channel each, ≥ 1.
    rounds, calls : int
        As for :func:`becomingone.bench.timing.paired_fresh`.
    bands : int
        Bands in which each node has a channel: the rows of one lie between those of the others.
    """
    world = _World(n)
    hub = _Hub(n, bands)
    for _ in range(3):
        world.advance()
        hub.take(world)
        hub.evaluate()

    def advance() -> None:
        world.advance()
        hub.take(world)

    return paired_fresh(
        lambda: [getattr(world.channels, field.name).sum() for field in fields(Channels)],
        hub.evaluate,
        advance,
        rounds=rounds,
        calls=calls,
    )


def _row(what: str, n: int, timing: Paired, bound: float | None) -> Row:
    target = "reported" if bound is None else f"at most {bound * 1e3:g} ms"
    ok = bound is None or timing.ours_s <= bound
    more = {"ns a node": timing.ours_s * 1e9 / n}
    return Row(
        f"{what} nodes" if what.startswith("tick") else what,
        "ms",
        timing.baseline_s * 1e3,
        timing.ours_s * 1e3,
        timing.ratio,
        target,
        ok,
        more,
    )


class _World:
    """Nodes that are locked at offsets of their own, with noise, and report at times of their own."""

    def __init__(self, n: int) -> None:
        self._random = np.random.default_rng(1)
        self._offsets = self._random.vonmises(0.0, 2.0, n)
        self._fixed = {
            "coherence": self._random.uniform(0.5, 1.0, n),
            "p": self._random.uniform(1e-4, 0.02, n),
            "n_eff": self._random.uniform(5.0, 9.0, n),
            "omega": _OMEGA * self._random.uniform(0.99, 1.01, n),
            "omega_sigma": self._random.uniform(0.01, 0.02, n),
            "phase_sigma": self._random.uniform(0.1, 0.3, n),
            "clock_sigma_s": self._random.uniform(1e-4, 1e-3, n),
            "capability": self._random.uniform(0.5, 1.0, n),
            "trust": self._random.uniform(0.8, 1.0, n),
            "max_age_s": np.full(n, 2.0),
        }
        self._ids = np.arange(n)
        self.now_us = _START_US
        self.advance()

    def advance(self) -> None:
        """Let a tick's time pass: fresh evidence of every node."""
        n = self._ids.shape[0]
        self.now_us += _TICK_US
        age_us = self._random.integers(0, 200_000, n)
        turned = _OMEGA * ((self.now_us - _START_US - age_us) * 1e-6)
        noise = 0.3 * self._random.standard_normal(n)
        phasor = np.exp(1j * (turned + self._offsets + noise))
        self.channels = Channels(ids=self._ids, time_us=self.now_us - age_us, phasor=phasor, **self._fixed)


class _Hub:
    """The hub's table and evaluator, with one channel a node in each band."""

    def __init__(self, n: int, bands: int) -> None:
        plan = {f"band{k}": BandSection(frequency_hz=_OMEGA / (2.0 * math.pi), tau_s=_TAU_S) for k in range(bands)}
        self._table = ChannelTable()
        self._bands = bands
        for node in range(n):
            for band, name in enumerate(plan):
                self._table.row(RowKey(f"n{node}", name, "c"), node=node, band=band, max_age_s=2.0, capability=1.0)
        self._table["flags"][:] = int(Flags.VALID)
        self._table["alive"][:] = True
        self._evaluator = MeshEvaluator(HubConfig(bands=plan), self._table)
        self._now_us = 0

    def take(self, world: _World) -> None:
        """Write what the nodes say into the table, as frames would have."""
        self._now_us = world.now_us
        for name in _COLUMNS:
            self._table[name][:] = np.repeat(getattr(world.channels, name), self._bands)

    def evaluate(self) -> None:
        """Evaluate, as at a tick."""
        self._evaluator.evaluate(self._now_us)
