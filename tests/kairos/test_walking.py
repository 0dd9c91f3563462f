"""A real recording: gyroscopes on the thigh and the shank of one walking leg, 120 Hz."""

from __future__ import annotations

import io
from importlib import resources

import numpy as np
import pytest

from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.mesh.locking import LockingOrder

STRIDE = Band.of("stride", 0.78, 1.0)
FS = 120.0


def gyroscope(name):
    text = resources.files("becomingone.data").joinpath(f"walking-two-imus/{name}.csv").read_text()
    column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
    return np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)[int(6 * FS) :]


@pytest.fixture(scope="module")
def legs():
    return [ChannelKernel(STRIDE, floor=0.05).block(gyroscope(name), 1 / FS) for name in ("upper_leg", "lower_leg")]


def test_both_have_a_phase_after_one_period(legs):
    for leg in legs:
        assert leg.valid
        first = np.flatnonzero(leg.phasors)[0]
        assert (first + 1) / FS == pytest.approx(STRIDE.period_s, abs=1.5 / FS)
        assert leg.phasors[first:].all()
        assert leg.omega / (2 * np.pi) == pytest.approx(0.784, abs=0.01)
        assert leg.coherence > 0.9
        assert leg.amplitude > 0.5
        assert leg.decidable  # 23 s of one rhythm are more than noise does once in a hundred
        assert leg.p < 0.01


def test_thigh_and_shank_are_locked_at_a_constant_angle(legs):
    both = (legs[0].phasors != 0) & (legs[1].phasors != 0)
    difference = (legs[0].phasors * legs[1].phasors.conj())[both]
    assert np.angle(difference.mean()) == pytest.approx(0.75, abs=0.05)
    assert abs(difference.mean()) > 0.98


def test_locking_order_sees_what_the_order_parameter_does_not(legs):
    order = LockingOrder(10.0)
    out = None
    phasors = np.stack([leg.phasors for leg in legs], axis=1)[::30]
    for row in phasors:
        out = order.update(np.arange(2), row, np.ones(2), 0.25, 4.0)
    assert out.valid
    assert out.order > 0.99
    assert abs(phasors[-1].mean()) < 0.95
    assert out.offsets[0] - out.offsets[1] == pytest.approx(0.75, abs=0.1)
