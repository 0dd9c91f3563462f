"""One look: what is left out, who is judged, and by which window."""

import numpy as np
import pytest
from tests.hub.emergence.rig import BANDS

from becomingone.hub.emergence.look import Request, by_node, highest_hz, look, settled

STRIDE = BANDS["stride"]
SPACING_S = 0.3


def phases(n, channels, rng, *, common=0.0, own=0.2):
    """Phases with fluctuations as behind the band's filter."""

    def filtered(shape):
        x = rng.standard_normal((shape[0] + 60, shape[1]))
        for _ in range(2):
            for i in range(1, len(x)):
                x[i] = 0.74 * x[i - 1] + 0.26 * x[i]
        return 3 * x[60:]

    angle = own * filtered((n, channels)) + common * filtered((n, 1)) + rng.uniform(-3, 3, channels)
    return np.exp(1j * angle).astype(np.complex64)


def request(u, node=None, *, alpha=0.001, weight=None):
    return Request(
        time_us=5,
        band=STRIDE,
        phasors=u,
        spacing_s=SPACING_S,
        node=np.arange(u.shape[1]) if node is None else np.array(node),
        weight=np.ones(u.shape[1]) if weight is None else np.array(weight),
        trend_s=8.0,
        settle_s=2.0,
        least_s=12.0,
        alpha=alpha,
        seed=1,
    )


def test_who_shares_is_significant_and_who_does_not_is_not():
    rng = np.random.default_rng(1)
    together = look(request(phases(150, 2, rng, common=0.4)))
    assert together.significant
    assert together.nodes == (0, 1)
    assert together.recent is None
    assert together.alpha == 0.001
    assert 35 < together.length_s < 45
    alone = look(request(phases(150, 2, rng)))
    assert not alone.significant
    assert alone.best is not None


def test_two_channels_of_one_node_are_no_mesh():
    seen = look(request(phases(150, 2, np.random.default_rng(1), common=0.4), node=[7, 7]))
    assert seen.best is None
    assert not seen.significant


def test_channels_of_a_node_count_as_one():
    """Ten channels of one node that agree with each other say nothing about another node."""
    rng = np.random.default_rng(4)
    same = phases(300, 10, rng, common=0.4, own=0.02)
    other = phases(300, 1, rng)
    seen = look(request(np.hstack((same, other)), node=[0] * 10 + [1]))
    assert len(seen.nodes) == 2
    assert not seen.significant
    assert len(seen.best[0].each) == 2


def test_a_long_window_is_looked_at_twice_and_both_pay():
    rng = np.random.default_rng(5)
    apart, together = phases(500, 2, rng, own=0.8), phases(200, 2, rng, common=0.3)
    seen = look(request(np.vstack((apart, together)), alpha=0.001))
    assert seen.alpha == 0.0005
    assert seen.recent is not None
    assert seen.recent_s == pytest.approx(60, abs=3)
    assert seen.recent.p < seen.whole.p
    assert seen.best[0] is seen.recent
    assert seen.significant


def test_a_newcomer_is_not_judged_before_its_time():
    rng = np.random.default_rng(6)
    u = phases(300, 3, rng, common=0.4)
    u[:240, 2] = 0
    assert look(request(u)).nodes == (0, 1)
    u = phases(300, 3, rng, common=0.4)
    u[:100, 2] = 0
    assert look(request(u)).nodes == (0, 1, 2)


def test_too_short_is_undecided():
    u = phases(150, 2, np.random.default_rng(7), common=0.4)
    assert look(request(u[:40])).best is None
    u[20:] = 0
    assert look(request(u)).best is None


def test_what_follows_a_start_or_a_gap_is_left_out_but_not_what_follows_a_dip():
    u = np.ones((30, 1), np.complex64)
    u[:4] = 0
    u[10:12] = 0
    u[18:22] = 0
    kept = "".join("x" if one else "." for one in settled(u, 3, 5)[:, 0] != 0)
    assert kept == "....." + "...." + "x" + ".." + "x" * 6 + "...." + "....." + "xxx"
    assert settled(u, 3, 0) is u


def test_channels_are_scaled_before_they_are_averaged():
    x = np.array([[1.0, 100.0, 2.0], [-1.0, 100.0, -2.0], [1.0, -100.0, 0.0]])
    known = np.array([[True, True, True], [True, True, True], [True, True, False]])
    mean, there, weight = by_node(x, known, np.array([0, 0, 1]), np.array([1.0, 3.0, 0.5]))
    assert mean[:, 0] == pytest.approx([1.0, 0.0, 0.0])
    assert mean[:, 1] == pytest.approx([1.0, -1.0, 0.0])
    assert there.tolist() == [[True, True], [True, True], [True, False]]
    assert weight.tolist() == [2.0, 0.5]


def test_what_is_looked_at_is_slower_than_the_rhythm():
    for band in BANDS.values():
        assert highest_hz(band, 0.25 / band.frequency_hz) <= 0.5 * band.frequency_hz
        assert highest_hz(band, 0.25 / band.frequency_hz) <= 0.4 / band.tau_s
