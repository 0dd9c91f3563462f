"""The formula's numbers belong to instants of the mesh, not to the way in which they are read."""

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.devices._noise import CHUNK, walk, white
from becomingone.devices.contract import Block
from becomingone.devices.synthetic import Device, Options

from .fakes import FakeClock, FakePorts


def run(options: Options, seconds: float, step_s: float, clock: FakeClock | None = None) -> list[Block]:
    clock = clock or FakeClock()
    device = Device(options, FakePorts(clock))
    blocks = device.read()
    for _ in range(round(seconds / step_s)):
        clock.advance(step_s)
        blocks += device.read()
    return blocks


def samples(blocks: list[Block]) -> np.ndarray:
    return np.concatenate([block.samples for block in blocks])


def test_the_same_seed_gives_the_same_samples_whatever_the_pace() -> None:
    options = Options(noise=0.3, drift=0.5, seed=4)
    often, seldom = run(options, 30, 0.003), run(options, 30, 4)
    shared = min(len(samples(often)), len(samples(seldom)))
    assert shared > 2800
    np.testing.assert_array_equal(samples(often)[:shared], samples(seldom)[:shared])
    assert not any(block.gap for block in often + seldom)
    other = samples(run(Options(noise=0.3, drift=0.5, seed=5), 30, 4))
    assert np.abs(samples(seldom) - other).max() > 0.1


def test_a_late_start_joins_the_same_stream() -> None:
    options = Options(noise=0.3, drift=0.5)
    whole = samples(run(options, 20, 1))
    late = samples(run(options, 10, 1, FakeClock(mesh_us=1_700_000_010_000_000)))
    np.testing.assert_array_equal(whole[1000:], late)


def test_the_tone_has_its_phase_at_the_epoch_of_the_mesh() -> None:
    clock = FakeClock(mesh_us=1_700_000_000_250_000)
    options = Options(frequency_hz=0.3, amplitude=2, phase_rad=0.7, unit="rad/s")
    blocks = run(options, 60, 0.5, clock)
    t = 1_700_000_000.25 % 10 + np.arange(len(samples(blocks))) / 100  # the tone's period divides 10 s
    np.testing.assert_allclose(samples(blocks), 2 * np.cos(2 * np.pi * 0.3 * t + 0.7), atol=1e-6)
    assert blocks[0].start_ns == 50_000_000_000
    assert blocks[0].spacing_ns == 10_000_000


def test_noise_and_drift_have_the_size_that_was_asked_for() -> None:
    noise = np.concatenate([white(1, chunk) for chunk in range(100)])
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert abs(noise.mean()) < 0.01
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.01
    far = 1_700_000_000
    steps = np.diff(np.concatenate([walk(1, far + chunk) for chunk in range(100)]))
    assert steps.std() == pytest.approx(1, abs=0.01)
    assert abs(np.mean(steps[1:] * steps[:-1])) < 0.01


def test_the_walk_spreads_as_a_walk_over_long_times() -> None:
    chunks = 1 << 12
    moved = [(walk(seed, chunks)[0] - walk(seed, 0)[0]) / np.sqrt(chunks * CHUNK) for seed in range(400)]
    assert np.std(moved) == pytest.approx(1, abs=0.12)
    assert walk(3, 0)[0] == 0


def test_a_drifting_tone_loses_coherence_as_its_diffusion_says() -> None:
    diffusion, lag = 0.2, 100
    phases = np.sqrt(2 * diffusion / 100) * np.concatenate([walk(9, chunk) for chunk in range(2000)])
    kept = np.abs(np.mean(np.exp(1j * (phases[lag:] - phases[:-lag]))))
    assert kept == pytest.approx(np.exp(-diffusion * lag / 100), abs=0.02)


def test_the_raw_numbers_never_change() -> None:
    assert white(7, 3)[:3] == pytest.approx([0.6486053675408657, -0.184323652822626, 1.3315925711762415], abs=1e-12)
    assert walk(7, 1_000)[1:3] == pytest.approx([-28.299598958879034, -28.879621330540758], abs=1e-6)


def test_device_and_options() -> None:
    device = Device(Options(unit="V", floor=0.2), FakePorts())
    (channel,) = device.channels
    assert (channel.name, channel.unit, channel.rate_hz, channel.floor) == ("tone", "V", 100.0, 0.2)
    assert device.origin == "simulated"
    device.close()
    for wrong in ({"frequency_hz": 50}, {"noise": -1}, {"drift": float("inf")}, {"rate_hz": 1e6}, {"seed": -1}):
        with pytest.raises(ValidationError):
            Options(**wrong)
