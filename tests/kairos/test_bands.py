"""Bands and plans."""

from __future__ import annotations

import math

import pytest

from becomingone.errors import KernelError
from becomingone.kairos.bands import DEFAULT_BANDS, HARDWARE_CLASSES, Band, HardwareClass, bands_for


def test_defaults_of_a_band():
    band = Band.of("stride", 0.78, 1.0)
    assert band.lag_s == pytest.approx(5 / 0.78)  # 2πτ = 6.28 s is 4.9 periods
    assert band.coherence_tau_s == 40.0
    assert band.omega == pytest.approx(2 * math.pi * 0.78)
    assert band.period_s == pytest.approx(1 / 0.78)


def test_default_lag_is_a_whole_number_of_periods_not_one_more():
    tau = 3.0 / (2.0 * math.pi * 7.0)  # 2πτ is three periods, but for rounding
    assert Band.of("b", 7.0, tau).lag_s == pytest.approx(3.0 / 7.0)


@pytest.mark.parametrize("band", DEFAULT_BANDS, ids=lambda band: band.name)
def test_default_plan_keeps_its_own_rules(band):
    periods = band.lag_s * band.frequency_hz
    assert periods == pytest.approx(round(periods))
    assert 2 * math.pi * band.tau_s <= band.lag_s * (1 + 1e-9) < 2 * math.pi * band.tau_s + 2 * band.period_s
    covering = [name for name, (low, high) in HARDWARE_CLASSES.items() if low <= band.tau_s <= high]
    assert len(covering) >= 2


def test_fast_band_is_for_the_small_and_the_large():
    (fast,) = (band for band in DEFAULT_BANDS if band.name == "fast")
    covering = {name for name, (low, high) in HARDWARE_CLASSES.items() if low <= fast.tau_s <= high}
    assert covering == {"pi_zero", "mac_mini", "cloud"}


@pytest.mark.parametrize(
    "kwargs",
    [
        {"tau_s": 0.0},
        {"tau_s": -1.0},
        {"tau_s": math.nan},
        {"frequency_hz": 0.0},
        {"frequency_hz": math.inf},
        {"lag_s": 6.28},
        {"coherence_tau_s": 7.9},
        {"name": ""},
        {"name": "Fast"},
        {"name": "_a"},
        {"name": "a" * 64},
        {"name": "a\n"},
    ],
)
def test_refusals(kwargs):
    given = {"name": "b", "frequency_hz": 1.0, "tau_s": 1.0, "lag_s": None, "coherence_tau_s": None} | kwargs
    with pytest.raises(KernelError):
        Band.of(**given)


def test_lag_of_exactly_two_pi_tau_is_allowed():
    assert Band.of("b", 1.0, 1.0, lag_s=2 * math.pi * (1 - 1e-10)).lag_s < 2 * math.pi


def test_bands_for():
    names = [band.name for band in bands_for(DEFAULT_BANDS, sample_rate_hz=40.0, tau_range=(0.1, 1.0))]
    assert names == ["fast", "motion", "stride"]
    names = [band.name for band in bands_for(DEFAULT_BANDS, sample_rate_hz=39.9, tau_range=(0.1, 1.0))]
    assert names == ["motion", "stride"]
    assert bands_for(DEFAULT_BANDS, sample_rate_hz=0.01, tau_range=HARDWARE_CLASSES["pi_4"]) == []
    assert HARDWARE_CLASSES[HardwareClass.PI_4] == (1.0, 60.0)
    with pytest.raises(KernelError):
        bands_for(DEFAULT_BANDS, sample_rate_hz=0.0, tau_range=(0.1, 1.0))
    with pytest.raises(KernelError):
        bands_for(DEFAULT_BANDS, sample_rate_hz=1.0, tau_range=(1.0, 0.1))


def test_figures_beyond_all_measure_are_refused():
    with pytest.raises(KernelError):
        Band.of("x", 1e308, 1e308)
