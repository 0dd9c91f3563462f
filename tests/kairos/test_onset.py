"""A rhythm that begins after a silence: what is learnt from the filter's own transient, and what is not."""

import math

import numpy as np
import pytest
from tests.hub.emergence.rig import gyroscope

from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.channel.onset import Onset

STRIDE = Band.of("stride", 0.78, 1.0)


def told(onset, pattern, spacing_s=0.5, start_s=0.0):
    elapsed = start_s + spacing_s * np.arange(1.0, len(pattern) + 1)
    phases = np.array([1.0 if c == "x" else 0.0 for c in pattern], complex)
    settled = onset.settled(phases, elapsed)
    return "".join("x" if one else "." for one in (np.ones(len(pattern), bool) if settled is None else settled))


def test_settled_after_the_start_and_after_a_silence_but_not_after_a_dip():
    assert told(Onset(1.0, 0.0), "x" * 12) == "......." + "x" * 5
    # Silent from 0.5 s to 4.5 s: the rhythm begins there.
    assert told(Onset(1.0, 0.0), "." * 8 + "x" * 12) == "." * 16 + "x" * 4
    # A dip of a second, less than two time constants.
    assert told(Onset(1.0, 0.0), "x" * 10 + ".." + "x" * 4) == "." * 7 + "xxx..xxxx"
    assert told(Onset(1.0, 0.0), "x" * 10 + "....." + "x" * 10) == "." * 7 + "xxx" + "." * 13 + "xx"


def test_before_it_is_warm_there_is_no_phase_and_no_silence():
    assert told(Onset(1.0, 3.0), "." * 5 + "x" * 7) == "." * 7 + "x" * 5


def test_any_split_tells_the_same():
    pattern = "...xxxx.....xxxxxxxxxxx..xxxx......xxxxxxxxxxxxx"
    whole = told(Onset(1.0, 1.0), pattern)
    for cut in (1, 5, 8, 13, 30):
        onset = Onset(1.0, 1.0)
        parts = [told(onset, pattern[i : i + cut], start_s=0.5 * i) for i in range(0, len(pattern), cut)]
        assert "".join(parts) == whole


def test_a_restart_forgets():
    onset = Onset(1.0, 0.0)
    told(onset, "x" * 10 + "." * 6)
    onset.restart()
    assert told(onset, "x" * 12) == "......." + "x" * 5


@pytest.mark.parametrize("leg", ["upper_leg", "lower_leg"])
def test_a_walk_that_begins_with_standing_is_coherent_before_it_ends(leg):
    """Standing for 3.4 s, then walking: the frequency that the start feigns is not what coherence is measured by."""
    kernel = ChannelKernel(STRIDE, floor=0.05)
    found = kernel.block(gyroscope(leg), 1 / 120)
    assert found.coherence > 0.88
    assert found.omega / math.tau == pytest.approx(0.784, abs=0.006)
    assert found.p < 0.002


@pytest.mark.parametrize("cut", [7, 64, 500])
def test_a_kernel_tells_the_same_for_any_split(cut):
    x = gyroscope("upper_leg")
    whole, parts = ChannelKernel(STRIDE, floor=0.05), ChannelKernel(STRIDE, floor=0.05)
    expected = whole.block(x, 1 / 120)
    phasors = [parts.block(x[i : i + cut], 1 / 120).phasors for i in range(0, len(x), cut)]
    assert np.abs(np.concatenate(phasors) - expected.phasors).max() < 1e-9
    assert parts.report().coherence == pytest.approx(expected.coherence, abs=1e-9)
