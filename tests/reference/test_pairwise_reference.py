"""Every pairwise measure against mne-connectivity and scipy, on noise and on the recordings."""

from __future__ import annotations

import csv
import gzip
import io
import math
from importlib import resources

import numpy as np
import pytest

from becomingone.kairos.pairs.pairwise import PairMeasures, plv_of_epochs
from becomingone.kairos.pairs.spectra import fourier

pytestmark = pytest.mark.reference

METHODS = {
    "plv": "plv",
    "ciplv": "ciplv",
    "ppc": "ppc",
    "pli": "pli",
    "wpli": "wpli",
    "wpli2_debiased": "wpli2_debiased",
    "imcoh": "imcoh",
    "cohy": "coherency",
    "coh": "msc",
}


def recording(name):
    return resources.files("becomingone.data").joinpath(name)


def epochs(x, length):
    """Channels (c, n) cut into epochs (e, c, length), those with a gap left out."""
    count = x.shape[1] // length
    cut = x[:, : count * length].reshape(x.shape[0], count, length).transpose(1, 0, 2)
    return np.ascontiguousarray(cut[np.isfinite(cut).all(axis=(1, 2))])


def noise():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((60, 6, 250)) + 0.7 * rng.standard_normal((60, 1, 250))
    data[:, 3, 2:] += 0.5 * data[:, 0, :-2]
    return 1000.0 + data, 250.0


def walking():
    columns = []
    for name in ("upper_leg", "lower_leg"):
        text = recording(f"walking-two-imus/{name}.csv").read_text()
        columns.append(np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1)[480:, 1:].T)
    return epochs(np.concatenate(columns), 240), 120.0


def gait():
    text = recording("gait-three-accelerometers/gait.csv").read_text()
    return epochs(np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=range(1, 10)).T, 256), 64.0


def weather():
    text = gzip.decompress(recording("weather-three-airports/weather.csv.gz").read_bytes()).decode()
    by_station = {}
    for row in csv.DictReader(io.StringIO(text)):
        values = [row[key] for key in ("temperature_degF", "relative_humidity_percent", "wind_speed_mph")]
        by_station.setdefault(row["time_utc"], {})[row["station"]] = [
            math.nan if v == "NA" else float(v) for v in values
        ]
    gap = [math.nan] * 3
    x = [[v for name in ("EWR", "JFK", "LGA") for v in row.get(name, gap)] for row in by_station.values()]
    return epochs(np.array(x).T, 240), 24.0  # cycles a day


SOURCES = {"noise": noise, "walking": walking, "gait": gait, "weather": weather}


@pytest.fixture(scope="module")
def mne_connectivity():
    import mne
    import mne_connectivity

    mne.set_log_level("ERROR")
    return mne_connectivity


@pytest.mark.parametrize("source", SOURCES)
def test_every_measure_is_that_of_mne_connectivity(source, mne_connectivity):
    data, rate = SOURCES[source]()
    assert data.shape[0] >= 10
    fmin, fmax = 5.0 * rate / data.shape[2], rate / 2.0
    theirs = mne_connectivity.spectral_connectivity_epochs(
        data, method=list(METHODS), mode="fourier", sfreq=rate, fmin=fmin, fmax=fmax, faverage=False, verbose="ERROR"
    )
    z, frequencies = fourier(data, rate, fmin, fmax)
    assert frequencies == pytest.approx(theirs[0].freqs)
    measures = PairMeasures.of(z)
    below = np.tril_indices(data.shape[1], -1)
    for (method, name), their in zip(METHODS.items(), theirs, strict=True):
        dense = their.get_data("dense")[below]
        expected = dense**2 if method == "coh" else dense
        assert np.abs(getattr(measures, name)[below] - expected).max() < 1e-12, method
    assert np.abs(plv_of_epochs(data, rate)[below] - theirs[0].get_data("dense")[below]).max() < 1e-12


@pytest.mark.parametrize("source", SOURCES)
def test_a_narrow_band_and_its_mean_are_those_of_mne_connectivity(source, mne_connectivity):
    data, rate = SOURCES[source]()
    resolution = rate / data.shape[2]
    fmin, fmax = 6.0 * resolution, 9.5 * resolution
    below = np.tril_indices(data.shape[1], -1)
    for average in (False, True):
        theirs = mne_connectivity.spectral_connectivity_epochs(
            data, method="plv", mode="fourier", sfreq=rate, fmin=fmin, fmax=fmax, faverage=average, verbose="ERROR"
        )
        ours = plv_of_epochs(data, rate, fmin, fmax, average=average)
        dense = theirs.get_data("dense")[below]
        assert np.abs(ours[below] - (dense[..., 0] if average else dense)).max() < 1e-12


@pytest.mark.parametrize("source", SOURCES)
def test_coherence_is_that_of_scipy(source):
    from scipy import signal

    data, rate = SOURCES[source]()
    n_epochs, channels, length = data.shape
    z, frequencies = fourier(data, rate)
    measures = PairMeasures.of(z)
    series = data.transpose(1, 0, 2).reshape(channels, n_epochs * length)
    options = {"fs": rate, "window": np.hanning(length), "nperseg": length, "noverlap": 0, "detrend": "constant"}
    keep = slice(5, 5 + frequencies.shape[0])
    power = [signal.welch(x, **options)[1][keep] for x in series]
    for i in range(channels):
        for j in range(i):
            f, theirs = signal.coherence(series[i], series[j], **options)
            assert f[keep] == pytest.approx(frequencies)
            assert np.abs(measures.msc[i, j] - theirs[keep]).max() < 1e-12
            # scipy's cross-spectrum is of x* with y.
            cross = np.conj(signal.csd(series[i], series[j], **options)[1][keep])
            assert np.abs(measures.coherency[i, j] - cross / np.sqrt(power[i] * power[j])).max() < 1e-12


def test_plv_of_von_mises_and_the_debiased_measures_by_scipy():
    from scipy import special

    rng = np.random.default_rng(1)
    for kappa in (0.3, 1.0, 5.0):
        difference = np.exp(1j * rng.vonmises(0.5, kappa, (10, 50_000)))
        measures = PairMeasures.of(np.stack((difference, np.ones_like(difference)), axis=1))
        truth = special.ive(1, kappa) / special.ive(0, kappa)
        assert measures.ppc[0, 1].mean() == pytest.approx(truth**2, abs=4e-3)
