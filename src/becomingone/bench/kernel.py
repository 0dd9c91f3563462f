"""One channel against scipy's filter, and phase locking against mne-connectivity."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from becomingone.bench.report import Report, Row
from becomingone.bench.timing import paired
from becomingone.errors import MissingLibraryError
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.pairs.pairwise import plv_of_epochs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MOST_RATIO: Final = 3.0
MOST_SCALAR_S: Final = 1.5e-6
PLV_TOLERANCE: Final = 1e-12
PLV_FASTER: Final = {4: 25.0, 16: 9.0, 64: 9.0}
"""Channels, and how many times faster than mne-connectivity."""

EPOCHS: Final = 100
SHAPES: Final = ((256, 8.0, 13.0), (1000, 8.0, 13.0), (256, None, None))
"""Samples an epoch, at 256 Hz, and the frequencies that are asked for; the targets are for the first."""

STREAMS: Final = (
    ("sound, 48 kHz in the band fast", Band.of("fast", 10.0, 0.1), 48_000.0, True),
    ("acceleration, 100 Hz in the band stride", Band.of("stride", 0.78, 1.0), 100.0, False),
)
"""What is streamed: band, sample rate, and whether the target of the block path is for it."""


def run(*, rounds: int = 9, settle: bool = True) -> Report:
    """Measure a sample's cost on the block path and on the scalar path, and phase locking of epochs.

    Parameters
    ----------
    rounds : int
        Rounds of each comparison, ≥ 1.
    settle : bool
        Run each stream until its start-up is over; without, its first samples are measured.
    """
    lfilter, connectivity = _libraries()
    rows = [
        _block(name, band, rate, n, lfilter, rounds=rounds, settle=settle, bound=bound)
        for name, band, rate, bound in STREAMS
        for n in (1024, 4800)
    ]
    rows += [_scalar(name, band, rate, rounds=rounds, settle=settle) for name, band, rate, _ in STREAMS]
    for times, low, high in SHAPES:
        bound = times == SHAPES[0][0] and low is not None
        rows += [
            _locking(channels, times, low, high, connectivity, rounds=rounds, bound=bound) for channels in PLV_FASTER
        ]
    return Report("kernel", rows)


def _libraries() -> tuple[Callable[..., Any], Callable[..., Any]]:
    try:
        return import_module("scipy.signal").lfilter, import_module("mne_connectivity").spectral_connectivity_epochs
    except ImportError as error:
        msg = f"the kernel is measured against other libraries ({error.name}): pip install 'becomingone[reference]'"
        raise MissingLibraryError(msg) from error


def _settled(band: Band, rate: float, *, settle: bool) -> ChannelKernel:
    """Return a kernel that has seen noise until nothing of its start is left: 300 τ."""
    kernel = ChannelKernel(band, floor=0.0)
    rng = np.random.default_rng(1)
    left = int(300.0 * band.tau_s * rate) if settle else 1000
    while left > 0:
        kernel.block(rng.standard_normal(min(left, 48_000)), 1.0 / rate)
        left -= 48_000
    return kernel


def _block(
    name: str,
    band: Band,
    rate: float,
    n: int,
    lfilter: Callable[..., Any],
    *,
    rounds: int,
    settle: bool,
    bound: bool,
) -> Row:
    kernel = _settled(band, rate, settle=settle)
    x = np.cos(band.omega * np.arange(n) / rate) + np.random.default_rng(0).standard_normal(n)
    alpha = -math.expm1(-1.0 / (rate * band.tau_s))
    step = -1j * band.omega / rate
    state: list[NDArray[np.complex128]] = [np.zeros(1, dtype=np.complex128)]
    count = [0]

    def baseline() -> None:
        # One pole, the rotation computed for each block as a stream needs it; neither phase nor coherence.
        turned = x * np.exp(step * np.arange(count[0], count[0] + n))
        _, state[0] = lfilter([alpha], [1.0, alpha - 1.0], turned, zi=state[0])
        count[0] = (count[0] + n) % 1_000_000

    timing = paired(baseline, lambda: kernel.block(x, 1.0 / rate), rounds=rounds, calls=max(1, 200_000 // n))
    return Row(
        f"{name}, blocks of {n}",
        "ns a sample",
        timing.baseline_s / n * 1e9,
        timing.ours_s / n * 1e9,
        timing.ratio,
        f"at most {MOST_RATIO:g} x lfilter" if bound else "reported",
        timing.ratio <= MOST_RATIO or not bound,
    )


def _scalar(name: str, band: Band, rate: float, *, rounds: int, settle: bool) -> Row:
    kernel = _settled(band, rate, settle=settle)
    samples = np.random.default_rng(2).standard_normal(5000).tolist()
    spacing_s = 1.0 / rate

    def ours() -> None:
        feed = kernel.feed
        for sample in samples:
            feed(sample, spacing_s)

    def baseline() -> None:
        # The documents' one line, in Python: what a loop over samples costs at the least.
        z = 0j
        for sample in samples:
            z += 0.01 * (sample - z)

    timing = paired(baseline, ours, rounds=rounds, calls=2)
    each = timing.ours_s / len(samples)
    return Row(
        f"{name}, sample by sample",
        "ns a sample",
        timing.baseline_s / len(samples) * 1e9,
        each * 1e9,
        timing.ratio,
        f"at most {MOST_SCALAR_S * 1e9:g} ns",
        each <= MOST_SCALAR_S,
    )


def _locking(
    channels: int,
    times: int,
    low: float | None,
    high: float | None,
    connectivity: Callable[..., Any],
    *,
    rounds: int,
    bound: bool,
) -> Row:
    data = np.random.default_rng(channels).standard_normal((EPOCHS, channels, times))
    limits = {} if low is None else {"fmin": low, "fmax": high}

    def theirs() -> NDArray[np.float64]:
        result = connectivity(data, method="plv", mode="fourier", sfreq=256.0, verbose="ERROR", **limits)
        return np.asarray(result.get_data(output="dense"), dtype=np.float64)

    lower = np.tril_indices(channels, -1)
    apart = float(np.abs(plv_of_epochs(data, 256.0, low, high)[lower] - theirs()[lower]).max())
    timing = paired(theirs, lambda: plv_of_epochs(data, 256.0, low, high), rounds=rounds, calls=max(1, 40 // channels))
    faster = 1.0 / timing.ratio
    least = PLV_FASTER[channels]
    band = "all frequencies" if low is None else f"{low:g} to {high:g} Hz"
    return Row(
        f"phase locking of {channels} channels, {EPOCHS} epochs of {times}, {band}",
        "ms",
        timing.baseline_s * 1e3,
        timing.ours_s * 1e3,
        timing.ratio,
        f"{least:g} x faster than mne-connectivity" if bound else "reported",
        apart <= PLV_TOLERANCE and (faster >= least or not bound),
        {"times faster": faster, "greatest difference": apart},
    )
