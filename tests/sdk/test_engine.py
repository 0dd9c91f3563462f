"""The engine: from samples to what the channels are together."""

from __future__ import annotations

import csv
import doctest
import math
from importlib import resources

import numpy as np
import pytest

import becomingone.sdk.engine
from becomingone.errors import KernelError
from becomingone.kairos.transducers.synchronise import Decision
from becomingone.sdk import Band, Chunk, CoherenceEngine

STRIDE = Band.of("stride", 0.78, 1.0)
FS = 50.0


def times(seconds, start=0.0):
    return start + np.arange(1, round(seconds * FS) + 1) / FS


def tone(t, lag=0.0, f=0.78):
    return np.cos(2 * np.pi * f * t - lag)


def engine_of(*names, **options):
    engine = CoherenceEngine([STRIDE], **options)
    for name in names:
        engine.add_channel(name, floor=0.05)
    return engine


def test_the_example_in_the_docstring():
    assert doctest.testmod(becomingone.sdk.engine).attempted >= 5
    assert doctest.testmod(becomingone.sdk.engine).failed == 0


def test_two_channels_of_one_rhythm_become_one():
    engine = engine_of("a", "b", master_s=60.0)
    emerged = None
    for second in range(240):
        t = times(1.0, second)
        engine.feed("a", tone(t), spacing_s=1 / FS)
        engine.feed("b", 5 * tone(t, 0.9), spacing_s=1 / FS)
        state = engine.tick()
        if state.emerged and emerged is None:
            emerged = second
    band = state.bands["stride"]
    assert state.emerged == ("stride",)
    assert band.collapsed
    assert 15 < emerged < 200
    assert band.channels == ("a", "b") == band.names
    assert math.remainder(band.phases[0] - band.phases[1], 2 * math.pi) == pytest.approx(0.9, abs=1e-3)
    assert band.mesh.coherence > 0.99
    assert band.mesh.order == pytest.approx(math.cos(0.45), abs=1e-3)
    assert band.locking.order > 0.999
    assert band.locking.offsets[0] - band.locking.offsets[1] == pytest.approx(0.9, abs=1e-2)
    assert band.pairs.plv[0, 1] > 0.999
    assert np.angle(band.direction.resonance) == pytest.approx(np.mean(band.phases), abs=1e-3)
    assert band.synchronisation.decision is Decision.PROCEED
    assert band.master.resonance == pytest.approx(1.0, abs=0.01)


def test_noise_does_not_become_one():
    rng = np.random.default_rng(5)
    engine = engine_of("a", "b", "c", master_s=60.0)
    emerged = 0
    for _ in range(300):
        for name in ("a", "b", "c"):
            engine.feed(name, rng.standard_normal(50), spacing_s=1 / FS)
        state = engine.tick()
        emerged += bool(state.emerged)
    assert emerged == 0
    assert state.bands["stride"].mesh.coherence < 0.5


def test_run_draws_a_recording_and_ticks_in_its_own_time():
    engine = CoherenceEngine([STRIDE], p_false=0.01, tick_s=0.5, master_s=60.0)
    seen = []
    for name in ("upper_leg", "lower_leg"):
        with resources.files("becomingone.data").joinpath(f"walking-two-imus/{name}.csv").open() as file:
            x = np.array([float(row["gyr_z_rad_s"]) for row in csv.DictReader(file)])
        size = 240 if name == "upper_leg" else 97  # chunks that do not end together
        chunks = [Chunk(1_000_000 + round(i * 1e6 / 120), x[i : i + size], 1 / 120) for i in range(0, len(x), size)]
        engine.add_input(name, chunks, floor=0.05)
    engine.add_output(seen.append)
    last = engine.run()
    assert last is seen[-1]
    gaps = np.diff([state.time_us for state in seen])
    assert (gaps == 500_000).all()
    assert 1_000_000 + 29.2e6 < last.time_us < 1_000_000 + 30.5e6
    band = last.bands["stride"]
    assert band.collapsed
    assert math.remainder(band.phases[0] - band.phases[1], 2 * math.pi) == pytest.approx(0.75, abs=0.15)
    # The offset was learnt from the start of both channels on: 23 s are not long for a Master of 60.
    assert band.locking.order > 0.95


def test_a_run_repeats_bit_for_bit_and_however_the_chunks_are_cut():
    x = tone(times(60)) + np.random.default_rng(1).standard_normal(3000)
    ends = []
    for size in (50, 50, 7):
        engine = CoherenceEngine([STRIDE], tick_s=1.0)
        engine.add_input("a", [Chunk(20_000 * (i + 1), x[i : i + size], 0.02) for i in range(0, 3000, size)])
        ends.append(engine.run().bands["stride"])
    assert ends[0].mesh == ends[1].mesh
    assert ends[2].mesh.coherence == pytest.approx(ends[0].mesh.coherence, abs=1e-12)
    assert ends[2].mesh.phase == pytest.approx(ends[0].mesh.phase, abs=1e-9)


def test_a_gap_is_flagged_and_a_silent_channel_fades():
    engine = engine_of("a", "b")
    t = times(30)
    engine.feed("a", tone(t), spacing_s=1 / FS, time_us=20_000)
    engine.feed("b", tone(t), spacing_s=1 / FS, time_us=20_000)
    assert engine.tick().bands["stride"].channels == ("a", "b")
    late = times(10, 32.0)
    assert engine.feed("a", tone(late), spacing_s=1 / FS, time_us=32_020_000)["stride"].gap
    state = engine.tick()
    assert state.time_us == 42_000_000
    assert state.bands["stride"].channels == ("a",)
    assert engine.tick(60_000_000).bands["stride"].channels == ()
    assert not engine.tick(60_000_001).bands["stride"].mesh.valid


def test_a_channel_takes_part_in_the_bands_that_its_rate_supports():
    engine = CoherenceEngine()
    engine.add_channel("slow")
    assert set(engine.feed("slow", np.ones(4), spacing_s=0.5)) == {"breath", "minute", "replayed_day"}


def test_refusals_leave_everything_as_it_was():
    engine, twin = engine_of("a"), engine_of("a")
    t = times(40)
    for one in (engine, twin):
        one.feed("a", tone(t[:1000]), spacing_s=1 / FS)
    with pytest.raises(KernelError, match="no channel 'b'"):
        engine.feed("b", t, spacing_s=0.02)
    for samples, spacing, time in (
        (np.empty(0), 0.02, None),
        (np.ones((2, 2)), 0.02, 30_000_000),
        (np.ones(3, dtype=complex), 0.02, 30_000_000),
        (np.ones(3), 0.0, None),
        (np.ones(3), math.nan, None),
        (np.ones(3), 0.02, 5_000_000),
    ):
        with pytest.raises(KernelError):
            engine.feed("a", samples, spacing_s=spacing, time_us=time)
    a, b = (one.feed("a", tone(t[1000:]), spacing_s=1 / FS)["stride"] for one in (engine, twin))
    assert (a.phasors == b.phasors).all()
    assert a.p == b.p
    engine.tick()
    with pytest.raises(KernelError, match="later"):
        engine.tick()
    with pytest.raises(KernelError, match="taken"):
        engine.add_channel("a")
    with pytest.raises(KernelError, match="floor"):
        engine.add_channel("c", floor=-1.0)
    with pytest.raises(KernelError, match="capability"):
        engine.add_channel("c", capability=0.0)
    assert engine.channels == ("a",)
    fast = engine_of("a")
    with pytest.raises(KernelError, match="too few"):
        fast.feed("a", np.ones(5), spacing_s=2.0)
    fast.feed("a", np.ones(5), spacing_s=0.02)  # and it can still be fed
    with pytest.raises(KernelError, match="before any sample"):
        engine_of("a").tick()
    with pytest.raises(KernelError, match="add_input"):
        engine_of("a").run()
    for options in ({"bands": []}, {"bands": [STRIDE, STRIDE]}, {"threshold": 2.0}, {"tick_s": 0.0}, {"dwell_s": -1.0},
                    {"master_s": math.inf}, {"p_false": 0.0}):  # fmt: skip
        with pytest.raises(KernelError):
            CoherenceEngine(**options)
