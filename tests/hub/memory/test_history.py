"""What the coherence was: exactly, and where that has gone within its bound."""

from __future__ import annotations

import asyncio
import io
from importlib import resources

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.hub.memory.beats import Beat, BeatMaker
from becomingone.hub.memory.history import reconstruct
from becomingone.hub.memory.recorder import Recorder, RememberSection
from becomingone.hub.memory.temporal import AsyncTemporalMemory, TemporalMemory
from becomingone.hub.memory.tiers import Tiers
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.memory.intake import turned_back

from .remembering import BANDS, START_US, STRIDE, Listed, Walk, recorder, run

SECOND = 1_000_000


def forget(memory: Listed, before_us: int) -> None:
    """Take away what a store's retention would."""
    memory.told = [entry for entry in memory.told if entry.time_us >= before_us or entry.kind == "tier"]


def test_a_moment_whose_entry_remains_is_given_as_it_was() -> None:
    memory, walk = Listed(), Walk(1)
    made = recorder(memory, walk, flush_s=0)
    states = run(made, walk, START_US, START_US + 20 * SECOND)
    made.close()
    state = reconstruct(memory, made.tiers, BANDS, START_US + 10 * SECOND + 100_000)
    stride = state.bands[0]
    then = next(s for s in states if s.time_us == stride.time_us).bands[0]
    assert stride.source == "entry"
    assert stride.time_us == START_US + 10 * SECOND - 50_000
    assert stride.coherence == pytest.approx(then.coherence, abs=stride.bound)
    assert stride.order == pytest.approx(then.order, abs=stride.bound)
    assert stride.collapsed is False
    assert state.coherence is not None
    assert state.bound <= 1e-4


def test_a_window_within_the_entries_is_the_mean_of_its_ticks() -> None:
    memory, walk = Listed(), Walk(2)
    made = recorder(memory, walk)
    states = run(made, walk, START_US, START_US + 60 * SECOND)
    made.close()
    at, window = START_US + 50 * SECOND - 1, 20 * SECOND
    stride = reconstruct(memory, made.tiers, [STRIDE], at, window).bands[0]
    inside = [s.bands[0] for s in states if at - window < s.time_us <= at]
    total = sum(band.weight for band in inside)
    assert stride.source == "beats"
    assert stride.coherence == pytest.approx(sum(b.weight * b.coherence for b in inside) / total, abs=2e-6)
    assert stride.order == pytest.approx(sum(b.weight * b.order for b in inside) / total, abs=2e-6)


def test_when_the_entries_have_gone_the_tiers_tell_within_their_bound() -> None:
    memory, walk = Listed(), Walk(3, [STRIDE])
    made = recorder(memory, walk, keep=16)
    states = run(made, walk, START_US, START_US + 1500 * SECOND, tick_us=250_000)
    made.close()
    forget(memory, START_US + 1490 * SECOND)
    errors, bounds, exact = [], [], 0
    for at_s in range(100, 1480, 23):
        for window_s in (16, 64, 200):
            at, window = START_US + at_s * SECOND - 1, window_s * SECOND
            stride = reconstruct(memory, made.tiers, [STRIDE], at, window).bands[0]
            inside = [s.bands[0] for s in states if at - window < s.time_us <= at]
            if not inside:
                continue
            total = sum(band.weight for band in inside)
            coherence = sum(b.weight * b.coherence for b in inside) / total
            order = sum(b.weight * b.order for b in inside) / total
            assert stride.source == "tiers"
            assert abs(stride.coherence - coherence) <= stride.bound
            assert abs(stride.order - order) <= stride.bound
            errors.append(abs(stride.coherence - coherence))
            bounds.append(stride.bound)
            exact += stride.resolution_us == 0
    assert exact > 0
    assert 0.0 < np.median(errors) < np.median(bounds)


def test_the_bound_holds_on_streams_made_against_it() -> None:
    rng = np.random.default_rng(4)
    broken = 0
    for _ in range(8):
        beats = []
        time_us = START_US
        for _ in range(400):
            time_us += int(rng.choice([1, 1, 1, 5, 30])) * SECOND
            # extremes: all or nothing, and weights over six decades
            values = rng.choice([0.0, 1.0], 2) if rng.random() < 0.3 else rng.uniform(0.0, 1.0, 2)
            still = complex(np.exp(1j * rng.uniform(-np.pi, np.pi)) * rng.uniform(0.0, 1.0))
            weight = float(10.0 ** rng.uniform(-3.0, 3.0))
            beats.append(Beat(time_us, 1, still, weight, float(values[0]), float(values[1]), weight))
        tiers = Tiers(SECOND, 8)
        for beat in beats:
            tiers.take(beat)
            tiers.work()
        for _ in range(20):
            at = int(rng.integers(START_US, time_us))
            window = int(10 ** rng.uniform(6, 9))
            band = reconstruct(Listed(), {"stride": tiers}, [STRIDE], at, window).bands[0]
            inside = [b for b in beats if at - window < b.time_us <= at]
            if not inside:
                continue
            total = sum(b.weight for b in inside)
            held = sum(b.still_weight for b in inside)
            broken += abs(sum(b.weight * b.coherence for b in inside) / total - band.coherence) > band.bound + 1e-9
            broken += abs(sum(b.weight * b.order for b in inside) / total - band.order) > band.bound + 1e-9
            still = sum(b.still_weight * b.still for b in inside) / held
            broken += abs(still - band.resonance) > band.resonance_bound + 1e-9
    assert broken == 0


def test_where_nobody_measured_nothing_is_claimed() -> None:
    memory, walk = Listed(), Walk(5)
    made = recorder(memory, walk)
    run(made, walk, START_US, START_US + 10 * SECOND)
    made.close()
    state = reconstruct(memory, made.tiers, BANDS, START_US - 3600 * SECOND)
    assert not state.valid
    assert state.coherence is None
    assert [band.source for band in state.bands] == ["nothing", "nothing"]


def test_what_the_recorder_still_holds_back_is_known_too() -> None:
    memory, walk = Listed(), Walk(6)
    made = recorder(memory, walk, flush_s=600)
    states = run(made, walk, START_US, START_US + 30 * SECOND)
    stride = reconstruct(memory, made.tiers, BANDS, START_US + 20 * SECOND - 1, 10 * SECOND).bands[0]
    inside = [s.bands[0] for s in states if START_US + 10 * SECOND <= s.time_us < START_US + 20 * SECOND]
    total = sum(band.weight for band in inside)
    assert stride.source == "tiers"
    assert stride.coherence == pytest.approx(sum(b.weight * b.coherence for b in inside) / total, abs=2e-6)


def test_the_documents_interface_keeps_signatures_and_finds_them_again() -> None:
    memory, walk = Listed(), Walk(7)
    made = recorder(memory, walk, flush_s=0)
    run(made, walk, START_US, START_US + 20 * SECOND)
    made.close()
    temporal = AsyncTemporalMemory(TemporalMemory(memory, BANDS, made.tiers))

    async def ask() -> None:
        at = (START_US + 10 * SECOND) / 1e6
        taken = await temporal.snapshot(at, 0.8, 0.6 + 0.6j, {"micro": {"nis": 1.0}})
        assert taken.timestamp == at
        found = await temporal.retrieve(at - 1.0, at + 1.0)
        assert [(one.coherence, one.phase, one.witnesses) for one in found] == [
            (0.8, 0.6 + 0.6j, {"micro": {"nis": 1.0}})
        ]
        assert found[0].number is not None
        assert await temporal.retrieve(at + 1.0, at + 2.0) == []
        state = await temporal.reconstruct_coherence(at)
        assert state.bands[0].source == "entry"

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("time_us", "coherence", "phase"), [(0, 1.1, 0j), (0, 0.5, 2j), (-1, 0.5, 0j), (0, float("nan"), 0j)]
)
def test_a_signature_that_cannot_be_is_refused(time_us: int, coherence: float, phase: complex) -> None:
    temporal = TemporalMemory(Listed(), BANDS, {})
    with pytest.raises(KernelError):
        temporal.snapshot(time_us, coherence, phase, {})


def test_history_witnesses_and_states_are_given_in_order() -> None:
    memory, walk = Listed(), Walk(8)
    made = recorder(memory, walk, flush_s=0)
    run(made, walk, START_US, START_US + 5 * SECOND)
    made.witnessed("meso", START_US + 5 * SECOND, {"nis": 2.0})
    made.witnessed("micro", START_US + 5 * SECOND, {"nis": 1.0})
    made.close()
    temporal = TemporalMemory(memory, BANDS, made.tiers)
    history = list(temporal.coherence_history("stride", START_US, START_US + 10 * SECOND))
    assert len(history) == 5
    assert [row[0] for row in history] == sorted(row[0] for row in history)
    assert [e.body["nis"] for e in temporal.witness_log(START_US, START_US + 6 * SECOND, layer="meso")] == [2.0]
    assert len(list(temporal.mesh_states(START_US, START_US + 10 * SECOND))) >= 5


def gyroscope(name: str) -> np.ndarray:
    text = resources.files("becomingone.data").joinpath(f"walking-two-imus/{name}.csv").read_text()
    column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
    return np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)


@pytest.fixture(scope="module")
def walk() -> list[MeshState]:
    """Two legs' sensors as a mesh of two, 20 times a second."""
    phasors = [
        ChannelKernel(STRIDE, floor=0.05).block(gyroscope(leg), 1 / 120).phasors for leg in ("upper_leg", "lower_leg")
    ]
    states = []
    for row in range(0, len(phasors[0]), 6):
        pair = [complex(leg[row]) for leg in phasors if leg[row]]
        if not pair:
            continue
        mean = sum(pair) / len(pair)
        recent = [leg[max(0, row - 600) : row + 1 : 6] for leg in phasors]
        times = START_US + np.arange(max(0, row - 600), row + 1, 6) * 1_000_000 // 120
        coherence = float(np.mean([abs(turned_back(u.astype(complex), times, 0.78).mean()) for u in recent]))
        time_us = START_US + row * 1_000_000 // 120
        band = BandState(
            name="stride",
            valid=True,
            time_us=time_us,
            channels=len(pair),
            nodes=len(pair),
            weight=float(len(pair)),
            coherence=coherence,
            order=min(1.0, abs(mean)),
            mean_field=mean,
        )
        states.append(MeshState(time_us, (band,)))
    return states


def test_a_real_walk_is_reconstructed_within_its_bound(walk: list[MeshState]) -> None:
    memory = Listed()
    made = Recorder(RememberSection(every_s=0.1, keep=16), [STRIDE], ChannelTable(), memory=memory)
    slow = Tiers(100_000, 16)  # the band's own beats are a second long; finer ones make the memory coarse beside them
    maker = BeatMaker(STRIDE, 100_000)
    for state in walk:
        made.take(state)
        beat = maker.add(state.bands[0], state.time_us)
        if beat is not None:
            slow.take(beat)
            slow.settle()
    made.close()
    forget(memory, walk[-1].time_us)
    cut, errors, bounds = 0, [], []
    for tiers in (made.tiers["stride"], slow):
        for at in range(walk[0].time_us + 4_000_000, walk[-1].time_us - 1_000_000, 370_123):
            for window in (1_000_000, 5_000_000, 12_000_000):
                band = reconstruct(memory, {"stride": tiers}, [STRIDE], at, window).bands[0]
                # what the tiers know are beats, and a beat belongs where it ended
                pace = tiers.pace_us
                index = [state.time_us // pace for state in walk]
                ends = dict(zip(index, [state.time_us for state in walk], strict=True))
                inside = [s.bands[0] for s, i in zip(walk, index, strict=True) if at - window < ends[i] <= at]
                total = sum(b.weight for b in inside)
                coherence = sum(b.weight * b.coherence for b in inside) / total
                order = sum(b.weight * b.order for b in inside) / total
                assert abs(band.coherence - coherence) <= band.bound
                assert abs(band.order - order) <= band.bound
                held = np.array([b.weight * b.coherence for b in inside])
                times = np.array([b.time_us for b in inside])
                still = turned_back(np.array([b.mean_field for b in inside]), times, STRIDE.frequency_hz)
                assert abs(held @ still / held.sum() - band.resonance) <= band.resonance_bound
                cut += band.resolution_us > 0
                errors.append(abs(band.coherence - coherence))
                bounds.append(band.bound)
    assert cut > 100  # the memory is coarse enough for this to say something
    assert np.median(bounds) < 0.1
    assert np.median(errors) < 0.01
