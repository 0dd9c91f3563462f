"""Rhythms that come and go: at their times, the same on every machine, and wandering together where they are to."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.devices.daily import Device, Options
from becomingone.errors import DeviceUnavailableError

from .fakes import FakeClock, FakePorts

MIDNIGHT_US = 1_700_006_400_000_000


def samples(options: Options, seconds: int, begin_us: int = MIDNIGHT_US) -> np.ndarray:
    clock = FakeClock(mesh_us=begin_us)
    device = Device(options, FakePorts(clock))
    blocks = device.read()
    for _ in range(seconds):
        clock.advance(1.0)
        blocks += device.read()
    assert not any(block.gap for block in blocks)
    return np.concatenate([block.samples for block in blocks])


def sounding(**rhythm: object) -> Options:
    return Options.model_validate({"quantity": "sound", "rhythms": [{"frequency_hz": 0.1, **rhythm}]})


def test_a_rhythm_is_there_from_its_time_until_its_end() -> None:
    found = samples(sounding(from_s=100, until_s=200), 300)
    assert np.flatnonzero(np.abs(found) > 1e-9).min() == 100
    assert np.flatnonzero(np.abs(found) > 1e-9).max() == 199
    over_midnight = samples(sounding(from_s=86_300, until_s=100), 300, MIDNIGHT_US - 200_000_000)
    there = np.flatnonzero(np.abs(over_midnight) > 1e-9)
    assert (there.min(), there.max()) == (100, 299)


def test_the_same_samples_whenever_it_is_begun() -> None:
    options = Options.model_validate(
        {"quantity": "sound", "noise": 0.1, "rhythms": [{"frequency_hz": 0.1, "drift": 0.01, "seed": 3}]}
    )
    late = samples(options, 100, MIDNIGHT_US + 150_000_000)
    assert samples(options, 250)[150:] == pytest.approx(late, abs=1e-12)


def test_rhythms_of_one_seed_wander_together_at_whatever_rate() -> None:
    slow, quick = (
        samples(
            Options.model_validate(
                {"quantity": "sound", "rate_hz": rate, "rhythms": [{"frequency_hz": 0.1, "drift": 0.05, "seed": seed}]}
            ),
            400,
        )[:: int(rate)]
        for rate, seed in ((1.0, 3), (4.0, 3))
    )
    assert slow == pytest.approx(quick, abs=1e-6)
    other = samples(sounding(drift=0.05, seed=4), 400)
    assert np.abs(slow - other).max() > 0.5


def test_one_that_is_not_there_is_not_available() -> None:
    clock = FakeClock(mesh_us=MIDNIGHT_US + 90_000_000)
    options = Options.model_validate({"quantity": "steps", "there": [(100, 110)]})
    with pytest.raises(DeviceUnavailableError, match="not there at this time"):
        Device(options, FakePorts(clock))
    clock.advance(15.0)
    device = Device(options, FakePorts(clock))
    assert len(device.read()) == 1
    clock.advance(10.0)
    with pytest.raises(DeviceUnavailableError):
        device.read()


def test_what_cannot_be_sampled_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"rhythms\[0\].frequency_hz \(0.6\) must be below half of rate_hz \(1\)"):
        sounding(frequency_hz=0.6)
