"""Draws the figures of the manual from the library itself: `python docs/plots.py` (needs the extra `docs`)."""

from __future__ import annotations

import csv
import math
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("svg")
import matplotlib.pyplot as plt

from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.collapse import critical
from becomingone.kairos.memory.log_time import LogTime
from becomingone.kairos.mesh.kuramoto import Population, locked_order, lorentzian_frequencies, poisson_phases
from becomingone.kairos.mesh.robust import robust_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).parent / "figures"
STRIDE = Band.of("stride", 0.78, 1.0)
SIXTEEN = Band.of("sixteen", 1.0, 5 / (2 * math.pi))

plt.rcParams.update(
    {
        "svg.hashsalt": "becomingone",  # the same figure is the same file
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }
)


def save(name: str) -> None:
    """Write the present figure, without a date."""
    plt.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    plt.close()
    print(f"figures/{name}.svg")


def gyroscope(name: str) -> np.ndarray:
    """Angular rate of one leg in rad/s, 120 Hz."""
    with resources.files("becomingone.data").joinpath(f"walking-two-imus/{name}.csv").open() as file:
        return np.array([float(row["gyr_z_rad_s"]) for row in csv.DictReader(file)])


def walk(axes: Axes) -> None:
    """Draw a thigh and its phase."""
    x = gyroscope("upper_leg")
    u = ChannelKernel(STRIDE, floor=0.05).block(x, 1 / 120).phasors
    t = np.arange(1, len(x) + 1) / 120
    axes.plot(t, x, color="0.6", label="thigh, rad/s")
    phase = np.where(u == 0, np.nan, np.angle(u))
    phase[1:][np.abs(np.diff(phase)) > 3] = np.nan
    axes.plot(t, phase, color="C0", lw=1, label="phase in the band `stride`, rad")
    axes.set(title="A walk: no phase while standing, then one", xlabel="s")
    axes.legend(loc="lower left")


def evidence(axes: Axes) -> None:
    """C and |T|² against the threshold, for a weak tone and for noise."""
    rng = np.random.default_rng(4)
    n = 120 * 16
    t = np.arange(1, n + 1) / 16
    tone = math.sqrt(0.2) * np.cos(2 * np.pi * t)
    for x, colour, label in (
        (tone + rng.standard_normal(n), "C0", "tone 10 dB below the noise"),
        (rng.standard_normal(n), "C3", "noise alone"),
    ):
        kernel = ChannelKernel(SIXTEEN, floor=0.0)
        seen = [kernel.block(x[i : i + 8], 1 / 16) for i in range(0, n, 8)]
        squared = [math.nan if block.resonance is None else abs(block.resonance) ** 2 for block in seen]
        axes.plot(t[7::8], squared, color=colour, label=label)
        limit = [critical(1e-3, block.n_eff) if block.n_eff > 1 else math.nan for block in seen]
    axes.plot(t[7::8], limit, color="0.3", ls="--", lw=1, label="I_c at p = 0.001")
    axes.set(title="Temporal resonance |T|²", xlabel="periods", ylim=(0, 1.05))
    axes.legend(loc="upper right")


def false_alarms(axes: Axes) -> None:
    """Observed against nominal rate of false alarms, white noise."""
    rng = np.random.default_rng(1)
    kernel = ChannelKernel(SIXTEEN, floor=0.0)
    p = np.array([kernel.block(part, 1 / 16).p for part in rng.standard_normal((40_000, 512))])[20:]
    nominal = np.geomspace(1e-3, 1, 60)
    axes.loglog(nominal, [(p <= level).mean() for level in nominal], color="C0", label="observed, 40,000 looks")
    axes.loglog(nominal, nominal, color="0.3", ls="--", lw=1, label="asked for")
    axes.set(title="False alarms on white noise", xlabel="p", ylabel="rate")
    axes.legend(loc="upper left")


def channel() -> None:
    """One channel: phase, evidence, false alarms."""
    _, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.2))
    walk(left)
    evidence(middle)
    false_alarms(right)
    save("channel")


def liars(axes: Axes) -> None:
    """How far colluding liars at their worst angle turn the mean, the geometric median and ours."""
    rng = np.random.default_rng(3)
    shares = np.arange(0.0, 0.46, 0.05)
    angles = np.radians(np.arange(10, 181, 10))
    worst = np.zeros((3, len(shares)))
    for column, share in enumerate(shares):
        count = round(100 * share)
        error = np.zeros((3, len(angles)))
        for _ in range(30):
            honest = np.exp(1j * rng.vonmises(0, 20, 100 - count))
            for row, angle in enumerate(angles):
                points = np.append(honest, np.full(count, np.exp(1j * angle)))
                ours = robust_mean(points, np.ones(100))
                means = np.angle([points.mean(), ours.median, ours.resonance])
                error[:, row] += np.abs(np.degrees(means)) / 30
        worst[:, column] = error.max(axis=1)
    for values, colour, label in zip(
        worst, ("0.6", "C1", "C0"), ("mean", "geometric median", "robust mean"), strict=True
    ):
        axes.plot(100 * shares, values, "o-", ms=3, color=colour, label=label)
    axes.set(
        title="Colluding liars at the worst angle", xlabel="% of the weight", ylabel="error, degrees", ylim=(0, 60)
    )
    axes.legend(loc="upper left")


def kuramoto(axes: Axes) -> None:
    """Order against coupling, 2,000 oscillators."""
    gains = np.array([0.6, 0.8, 1.0, 1.1, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0])
    seen = []
    for gain in gains:
        population = Population(lorentzian_frequencies(2000, 1.0), poisson_phases(2000, 0.3), 2.0 * gain)
        seen.append(np.abs(population.run(40.0, 0.02))[-500:].mean())
    fine = np.linspace(1.0, 5.0, 200)
    axes.plot(fine, [locked_order(2.0 * gain, 1.0) for gain in fine], color="0.3", ls="--", lw=1, label="√(1 − K_c/K)")
    axes.plot(gains, seen, "o", ms=4, color="C0", label="2,000 oscillators")
    axes.set(title="Coupled through the mean field", xlabel="K/K_c", ylabel="order r", ylim=(0, 1))
    axes.legend(loc="lower right")


def log_time(axes: Axes) -> None:
    """Relative error of the 1/t memory."""
    age = np.geomspace(1.0, 3.6e9, 3000)
    for ratio, colour in ((2.0, "C0"), (math.e, "C1"), (4.0, "C3")):
        bank = LogTime.of(1.0, 3.6e9, ratio=ratio)
        axes.loglog(age / 1e6, np.abs(age * bank.kernel(age) - 1.0), color=colour, lw=0.7, label=f"c = {ratio:.3g}")
    axes.set(title="A 1/t memory from 1 µs to 1 h", xlabel="age, s", ylabel="relative error", ylim=(1e-9, 1e-1))
    axes.legend(loc="upper right")


def mesh() -> None:
    """Many channels, and what is remembered of them."""
    _, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.2))
    liars(left)
    kuramoto(middle)
    log_time(right)
    save("mesh")


def main() -> None:
    """Draw all."""
    FOLDER.mkdir(exist_ok=True)
    channel()
    mesh()


if __name__ == "__main__":
    main()
