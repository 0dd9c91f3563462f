"""Time-shift tests on recordings of what is known to go together, in part, or not."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import math
from importlib import resources

import numpy as np
import pytest

from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.pairs.surrogates import fluctuation_shift_test, group_shift_test, plv_shift_test


def table(name):
    return resources.files("becomingone.data").joinpath(name)


def phases(x, rate, frequency, tau, floor, every):
    """Ticks of one channel, the filter settled."""
    band = Band.of("test", frequency, tau)
    return ChannelKernel(band, floor=floor).block(x, 1 / rate).phasors[int(5 * tau * rate) :: every]


def test_thigh_and_shank_beat_every_shift_but_half_a_minute_proves_little():
    u = []
    for name in ("upper_leg", "lower_leg"):
        text = table(f"walking-two-imus/{name}.csv").read_text()
        column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
        x = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)[4 * 120 :]
        u.append(phases(x, 120.0, 0.784, 1.0, 0.05, 12))
    u = np.stack(u, axis=1)
    plv = plv_shift_test(u)
    assert plv.value[0, 1] > 0.99
    assert plv.p[0, 1] > 0.3
    test = fluctuation_shift_test(u, 0.1, 10.0)
    assert test.value[0, 1] > 0.7
    assert test.chance[0, 1] < 0.6
    assert test.p[0, 1] == pytest.approx(1 / (1 + test.independent[0, 1]))  # the least that can be claimed
    assert 0.03 < test.p[0, 1] < 0.15


def gait():
    text = table("gait-three-accelerometers/gait.csv").read_text()
    x = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=range(1, 10))
    return np.stack([phases(x[:, i], 64.0, 0.9, 1.0, 5.0, 6) for i in range(9)], axis=1)


def test_ankle_and_leg_go_together_and_other_minutes_do_not():
    u = gait()
    forward = fluctuation_shift_test(u[:, [0, 3, 6]], 6 / 64, 6.0)
    assert forward.value[0, 1] == pytest.approx(0.4, abs=0.15)
    assert forward.p[0, 1] < 0.01
    assert forward.p[0, 2] > 0.05  # ankle and trunk: not on this record
    # The first minute of one sensor against the second of another: people who never met.
    n = u.shape[0] // 2
    halves = fluctuation_shift_test(np.concatenate((u[:n], u[n : 2 * n]), axis=1), 6 / 64, 6.0)
    assert (halves.p[:9, 9:] <= 0.05).mean() <= 0.05
    assert (halves.p[:9, 9:] <= 0.01).mean() <= 0.02


def test_three_airports_share_their_weather():
    text = gzip.decompress(table("weather-three-airports/weather.csv.gz").read_bytes()).decode()
    start = datetime.datetime(2013, 1, 1, 6, tzinfo=datetime.UTC)
    x = {station: np.full(8730, math.nan) for station in ("EWR", "JFK", "LGA")}
    for row in csv.DictReader(io.StringIO(text)):
        when = datetime.datetime.fromisoformat(row["time_utc"])
        if row["temperature_degF"] != "NA":
            x[row["station"]][round((when - start).total_seconds() / 3600)] = float(row["temperature_degF"])
    u = np.stack([phases(series, 1.0, 1 / 24, 48.0, 0.1, 1) for series in x.values()], axis=1)
    upper = np.triu_indices(3, 1)
    plv = plv_shift_test(u)
    assert plv.value[upper].min() > 0.97
    assert plv.p[upper].min() > 0.4  # a day is a day at any shift
    test = fluctuation_shift_test(u, 1.0, 288.0)
    assert test.value[upper] == pytest.approx([0.63, 0.81, 0.84], abs=0.12)
    assert test.chance[upper].max() < 0.3
    assert test.p[upper].max() < 0.01
    group = group_shift_test(u, 1.0, 288.0, rng=np.random.default_rng(0), surrogates=199)
    assert group.p == 1 / 200
    assert group.value == pytest.approx(test.value[upper].mean(), abs=0.02)
