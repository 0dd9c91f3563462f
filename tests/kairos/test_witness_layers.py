"""Four layers of witnesses: each fault is found by the layer whose job it is, and how soon."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.witnessing.drift import Drift, run_length, threshold_for
from becomingone.kairos.witnessing.layers import WitnessLayers, health
from becomingone.kairos.witnessing.witness import Witness

EPOCH, WINDOW = 1024, 32
Q, R, TURN = 0.01, 0.04, 0.3
ALARM = 1e-3  # one false alarm in a thousand windows


def phases(rng, n, level=1.0):
    """A phase that wanders by 0.1 rad a sample and is seen with 0.2 rad of noise; K = 0.39."""
    steps = math.sqrt(Q) * level * rng.standard_normal(n)
    return np.cumsum(steps) + math.sqrt(R) * level * rng.standard_normal(n) + TURN * np.arange(n)


def layers_of(*names, **options):
    layers = WitnessLayers(window=WINDOW, **options)
    for name in names:
        layers.add(name, Witness(epoch=EPOCH, circular=True, advance=TURN))
    return layers


def calibrated(rng, tail, *, frozen=False):
    """Layers that have seen eight healthy epochs and a piece of a ninth, and phases to go on with."""
    layers = WitnessLayers(window=WINDOW)
    witness = Witness(epoch=EPOCH, circular=True, advance=TURN)
    layers.add("node", witness)
    begin = 8 * EPOCH + int(rng.integers(0, 2 * WINDOW))
    y = phases(rng, begin + tail)
    layers.observe("node", np.exp(1j * y[:begin]))
    witness.frozen = frozen
    return layers, y[begin:]


def delay_of(layers, y):
    """Samples until a window of the meso layer is below the alarm's p."""
    for i, u in enumerate(np.exp(1j * y)):
        before = layers.witness_transducer("node")
        layers.witness_operation("node", u.item())
        now = layers.witness_transducer("node")
        if now is not before and now.p < ALARM:
            return i + 1
    return math.inf


def stuck(y):
    return np.full_like(y, y[0])


def clock(rate):
    """The frequency goes off by ``rate`` rad/sample more with every sample."""
    return lambda y: y + 0.5 * rate * np.arange(len(y)) ** 2


def skew(offset):
    """The frequency is off by ``offset`` rad/sample from now on."""
    return lambda y: y + offset * np.arange(len(y))


# --- micro -----------------------------------------------------------------------------------------------------------


def test_micro_sees_a_jump_at_once():
    found, false = [], 0
    for seed in range(20):
        layers, y = calibrated(np.random.default_rng(seed), 200)
        y[100:] += 1.5
        p = [layers.witness_operation("node", np.exp(1j * v)).p for v in y]
        found.append(p[100] < 1e-4)
        false += sum(v < 1e-4 for v in p[:100])
    assert np.mean(found) >= 0.9  # 1.5 rad are 5.9 standard deviations, less the innovation's own
    assert false <= 3


# --- meso ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "tail", "slowest"),
    [(stuck, 100, 64), (clock(1e-3), 300, 192), (clock(3e-4), 600, 416), (skew(0.15), 100, 64)],
)
def test_meso_sees_a_stuck_sensor_and_a_drifting_clock(fault, tail, slowest):
    for seed in range(4):
        layers, y = calibrated(np.random.default_rng(seed), tail)
        assert delay_of(layers, fault(y)) <= slowest


def test_a_stuck_sensor_is_too_good():
    layers = WitnessLayers()
    layers.add("thermometer", Witness(epoch=256))
    rng = np.random.default_rng(0)
    y = np.cumsum(0.1 * rng.standard_normal(4000)) + 0.3 * rng.standard_normal(4000)
    y[3600:] = y[3600]
    windows = layers.observe("thermometer", y)
    seen = layers.witness_transducer("thermometer")
    assert seen == windows[-1]
    assert seen.nis < 1e-6
    assert seen.nis_p == 0.0
    assert seen.p == 0.0


def test_health_of_the_healthy_is_uniform():
    layers = layers_of("node")
    windows = layers.observe("node", np.exp(1j * phases(np.random.default_rng(1), 200 * EPOCH)))
    p = np.array([w.p for w in windows if w.valid])
    assert len(p) > 6000
    for level in (0.01, 0.1, 0.5):
        assert (p < level).mean() == pytest.approx(level, rel=0.35 if level == 0.01 else 0.1)
    assert layers.witness_self().drifting == ()


def test_health_joins_two_independent_residuals():
    of_nis, of_rho, both = health(1.0, 0.0, 32)
    assert of_rho == 1.0
    assert both == pytest.approx(of_nis * (1 - math.log(of_nis)))
    assert health(3.0, 0.0, 32)[2] < 1e-4
    assert health(1.0, 0.7, 32)[2] < 1e-3
    # A scale that was learnt from few innovations forgives more.
    assert health(1.8, 0.0, 32, 64.0)[0] > 2 * health(1.8, 0.0, 32)[0]


def test_nothing_is_known_before_the_fixed_point():
    layers = layers_of("node")
    rng = np.random.default_rng(0)
    assert layers.witness_transducer("node") is None
    assert layers.witness_self().unsettled == ("node",)
    early = layers.observe("node", np.exp(1j * phases(rng, EPOCH + 10 * WINDOW)))
    assert all(w.valid is False and w.p == 1.0 for w in early)
    assert layers.witness_system().names == 0


def test_a_lost_phase_is_not_healthy_but_unknown():
    layers, y = calibrated(np.random.default_rng(0), 10)
    layers.observe("node", np.exp(1j * y))
    assert layers.witness_transducer("node").valid
    layers.observe("node", np.exp(2j * np.pi * np.random.default_rng(1).random(3 * EPOCH)))
    assert layers.witness_transducer("node") is None
    assert layers.witness_self().unsettled == ("node",)
    assert layers.witness_system().names == 0


def test_one_by_one_is_the_same_as_in_blocks():
    u = np.exp(1j * phases(np.random.default_rng(4), 5 * EPOCH))
    u[3000:3040] = 0.0
    one, block = layers_of("node"), layers_of("node")
    windows = block.observe("node", u)
    seen = []
    for value in u:
        before = one.witness_transducer("node")
        one.witness_operation("node", value.item())
        if one.witness_transducer("node") is not before:
            seen.append(one.witness_transducer("node"))
    assert len(seen) == len(windows)
    for a, b in zip(seen, windows, strict=True):
        assert (a.nis, a.rho, a.p) == pytest.approx((b.nis, b.rho, b.p), rel=1e-9)
        assert a.valid == b.valid
    assert one.witness_self().epochs == block.witness_self().epochs == 4
    assert one.witness_self().level == pytest.approx(block.witness_self().level, rel=1e-9)


# --- macro -----------------------------------------------------------------------------------------------------------


def mesh(rng, nodes, depth=8):
    """Nodes that witness themselves and have reported honest p-values for as long as the macro layer looks back."""
    layers = WitnessLayers(depth=depth)
    names = [f"node-{i}" for i in range(nodes)]
    for name in names:
        layers.add(name)
        for _ in range(depth):
            layers.report(name, rng.random())
    return layers, names


LIES = {
    "all is well, always": lambda rng: min(1.0, 0.9 + 0.1 * rng.random()),
    "always the middle": lambda rng: float(np.clip(0.5 + 0.05 * rng.standard_normal(), 0, 1)),
    "a variance a quarter of the truth": lambda rng: health(4.0 * rng.chisquare(32) / 32, 0.1, 32)[2],
}


def until_it_shows(lie, seed, most):
    """Windows until the macro layer's p is below the alarm's, and what it says then."""
    rng = np.random.default_rng(seed)
    layers, names = mesh(rng, 10)
    for window in range(most):
        for name in names:
            layers.report(name, LIES[lie](rng) if name == "node-7" else rng.random())
        macro = layers.witness_system()
        if macro.p < ALARM:
            return window + 1, macro
    return math.inf, macro


@pytest.mark.parametrize("lie", LIES)
def test_macro_names_the_liar(lie):
    for seed in range(5):
        delay, macro = until_it_shows(lie, seed, 20)
        assert delay <= 16
        assert (macro.names, macro.values, macro.suspect) == (10, 80, "node-7")


def test_macro_sees_a_node_that_claims_too_small_an_error():
    # The hub witnesses each node by the uncertainty that the node claims; one claims half its standard deviation.
    rng = np.random.default_rng(2)
    layers = WitnessLayers()
    truth = (math.sqrt(Q * Q + 4 * Q * R) + Q) / 2 + R
    for i in range(6):
        claim = truth / 4 if i == 2 else truth
        layers.add(f"node-{i}", Witness(gain=0.39, scale=claim, circular=True, advance=TURN, frozen=True))
    for _ in range(3):
        for i in range(6):
            layers.observe(f"node-{i}", np.exp(1j * phases(rng, WINDOW)))
    macro = layers.witness_system()
    assert macro.suspect == "node-2"
    assert macro.p < ALARM
    assert layers.witness_transducer("node-2").nis > 2.5


def test_macro_of_honest_nodes():
    rng = np.random.default_rng(3)
    below = []
    for _ in range(300):
        layers, _ = mesh(rng, 4, depth=4)
        below.append(layers.witness_system().p < 0.05)
    assert np.mean(below) <= 0.05 + 3.5 * math.sqrt(0.05 / 300)
    macro = WitnessLayers().witness_system()
    assert (macro.names, macro.values, macro.suspect, macro.p) == (0, 0, None, 1.0)


# --- meta ------------------------------------------------------------------------------------------------------------


def test_meta_sees_what_the_others_have_learnt_to_live_with():
    rng = np.random.default_rng(5)
    n = 60 * EPOCH
    level = np.exp(0.5 * 0.03 * np.maximum(0, np.arange(n) - 20 * EPOCH) / EPOCH)  # 3 % more variance an epoch
    u = np.exp(1j * phases(rng, n, level))
    layers = layers_of("node")
    for k in range(60):
        windows = layers.observe("node", u[k * EPOCH : (k + 1) * EPOCH])
        if k == 19:
            assert layers.witness_self().drifting == ()
        if k >= 20:
            assert np.mean([w.p < ALARM for w in windows]) < 0.1
        if layers.witness_self().drifting:
            break
    assert layers.witness_self().drifting == ("node",)
    assert k - 20 < 12
    layers.acknowledge("node")
    assert layers.witness_self().drifting == ()


def test_meta_sees_a_gain_that_changes():
    rng = np.random.default_rng(6)
    noise, steps = rng.standard_normal((2, 60 * 256))
    # R and Q for innovations of variance 1 and gains of 0.2 and 0.6: only what K should be changes.
    gain = np.where(np.arange(60 * 256) < 40 * 256, 0.2, 0.6)
    y = np.cumsum(gain * steps) + np.sqrt(1 - gain) * noise
    layers = WitnessLayers(window=WINDOW)
    layers.add("level", Witness(epoch=256))
    layers.observe("level", y[: 40 * 256])
    assert layers.witness_self().drifting == ()
    layers.observe("level", y[40 * 256 :])
    assert layers.witness_self().drifting == ("level",)


def test_run_lengths():
    # Exact values of the two-sided chart with slack ½: 168 for h = 4, 465 for h = 5 (one-sided 336 and 930).
    assert run_length(4.0, 0.5) == pytest.approx(336, rel=0.02)
    assert run_length(5.0, 0.5) == pytest.approx(930, rel=0.02)
    for updates in (20.0, 1e3, 1e6):
        assert run_length(threshold_for(updates)) == pytest.approx(updates, rel=1e-9)


def test_drift_keeps_its_promise():
    rng = np.random.default_rng(7)
    drift = Drift(50.0)
    alarms = sum(drift.update(x, 2.0) for x in (3.0 + 2.0 * rng.standard_normal(30_000)).tolist())
    assert 30_000 / alarms == pytest.approx(50.0, rel=0.12)
    drift.clear()
    assert drift.level == 0.0
    for _ in range(100):
        drift.update(1.0, 0.1)
    assert drift.level == 0.0
    assert not drift.update(1.2, 0.1)
    assert 0.0 < drift.level < 1.0
    assert any(drift.update(1.2, 0.1) for _ in range(10))


# --- calls -----------------------------------------------------------------------------------------------------------


def test_refusals():
    layers = WitnessLayers()
    layers.add("here", Witness())
    layers.add("there")
    for call in (
        lambda: layers.add("here"),
        lambda: layers.remove("nobody"),
        lambda: layers.acknowledge("nobody"),
        lambda: layers.witness_transducer("nobody"),
        lambda: layers.witness_operation("there", 1.0),
        lambda: layers.observe("there", np.ones(3)),
        lambda: layers.observe("here", np.ones((2, 2))),
        lambda: layers.report("here", 0.5),
        lambda: layers.report("there", 1.5),
        lambda: layers.report("there", math.nan),
        lambda: WitnessLayers(window=7),
        lambda: WitnessLayers(depth=0),
        lambda: WitnessLayers(false_alarm_epochs=math.inf),
        lambda: Drift(5.0),
    ):
        with pytest.raises(KernelError):
            call()
    layers.report("there", 0.5)
    assert layers.witness_system().values == 1
    layers.remove("there")
    assert layers.witness_system().values == 0


# --- campaigns -------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
def test_false_alarms_of_every_layer(capsys):
    micro, meso, alarms, epochs = [], [], 0, 0
    for seed in range(40):
        u = np.exp(1j * phases(np.random.default_rng(seed), 120 * EPOCH))
        witness = Witness(epoch=EPOCH, circular=True, advance=TURN)
        z = witness.block(u).normalised[10 * EPOCH :]
        micro += [np.mean(np.abs(z) > t) for t in (2.5758, 3.2905, 3.8906)]
        layers = layers_of("node", false_alarm_epochs=100.0)
        for k in range(120):
            meso += [w.p for w in layers.observe("node", u[k * EPOCH : (k + 1) * EPOCH]) if w.valid]
            if layers.witness_self().drifting:
                alarms += 1
                layers.acknowledge("node")
        epochs += layers.witness_self().epochs
    shares = np.array(micro).reshape(-1, 3).mean(axis=0) / (1e-2, 1e-3, 1e-4)
    windows = [np.mean(np.array(meso) < level) / level for level in (1e-2, 1e-3)]
    rng = np.random.default_rng(0)
    looks = [mesh(rng, 10)[0].witness_system().p for _ in range(3000)]
    macro = [np.mean(np.array(looks) < level) / level for level in (1e-1, 1e-2)]
    with capsys.disabled():
        print(f"\nmicro {shares}, meso {windows} of {len(meso)}, macro {macro}, meta {epochs / alarms} for 100")
    assert (np.abs(shares - 1) < 0.3).all()
    assert max(windows) < 1.5
    assert max(macro) < 1.3
    assert epochs / alarms > 80


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("name", "fault", "tail"),
    [
        ("stuck", stuck, 200),
        ("clock 1e-3", clock(1e-3), 300),
        ("clock 3e-4", clock(3e-4), 800),
        ("clock 1e-4", clock(1e-4), 2000),
        ("clock 3e-5, frozen", clock(3e-5), 4000),
        ("skew 0.1", skew(0.1), 1200),
        ("skew 0.2", skew(0.2), 200),
    ],
)
def test_delays_of_the_meso_layer(name, fault, tail, capsys):
    delays = []
    for seed in range(200):
        layers, y = calibrated(np.random.default_rng(seed), tail, frozen=name.endswith("frozen"))
        delays.append(delay_of(layers, fault(y)))
    with capsys.disabled():
        print(f"\n{name}: 5 %, 50 %, 95 % {np.percentile(delays, [5, 50, 95])} samples", end=" ")
    assert np.isfinite(delays).mean() > 0.99


@pytest.mark.campaign
@pytest.mark.parametrize("growth", [0.005, 0.01, 0.02, 0.05])
def test_delays_of_the_meta_layer(growth, capsys):
    delays, surprised = [], []
    for seed in range(40):
        n = 140 * EPOCH
        level = np.exp(0.5 * growth * np.maximum(0, np.arange(n) - 40 * EPOCH) / EPOCH)
        u = np.exp(1j * phases(np.random.default_rng(seed), n, level))
        layers = layers_of("node")
        layers.observe("node", u[: 40 * EPOCH])
        layers.acknowledge("node")
        k = 40
        while not layers.witness_self().drifting:
            surprised += [w.p for w in layers.observe("node", u[k * EPOCH : (k + 1) * EPOCH])]
            k += 1
        delays.append(k - 40)
    share = np.mean(np.array(surprised) < ALARM)
    with capsys.disabled():
        print(f"\n{growth}: {np.percentile(delays, [5, 50, 95])} epochs, meso below 1e-3: {share:.2g}", end=" ")
    assert max(delays) < 60
    assert share < 3e-3


@pytest.mark.campaign
@pytest.mark.parametrize("lie", LIES)
def test_delays_of_the_macro_layer(lie, capsys):
    found = [until_it_shows(lie, seed, 60) for seed in range(100)]
    delays, named = [delay for delay, _ in found], sum(macro.suspect == "node-7" for _, macro in found)
    with capsys.disabled():
        print(f"\n{lie}: {np.percentile(delays, [5, 50, 95])} windows, named {named} of 100", end=" ")
    assert named >= 97
