"""A bank of witnesses is as many witnesses: row by row the same, to rounding; charts and tables alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.witnessing.bank import WitnessBank
from becomingone.kairos.witnessing.charts import Charts
from becomingone.kairos.witnessing.drift import Drift, threshold_for
from becomingone.kairos.witnessing.layers import health
from becomingone.kairos.witnessing.tail_tables import deviate_of, deviates, healths, two_sided, uniformities
from becomingone.kairos.witnessing.tails import normal_tail, uniformity_p
from becomingone.kairos.witnessing.witness import Witness

NOISE = np.array([0.05, 0.3, 0.8, 2.0, 0.01, 0.2, 0.2])
WALK = np.array([0.0, 0.1, 0.05, 0.0, 0.01, 0.3, 0.0])


def phasors(steps: int, missing: float) -> Any:
    rng = np.random.default_rng(5)
    shape = (steps, len(NOISE))
    phase = np.cumsum(rng.standard_normal(shape) * WALK, axis=0) + rng.standard_normal(shape) * NOISE
    return np.where(rng.random(shape) < missing, 0.0, np.exp(1j * phase))


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_every_row_is_a_witness(missing: float) -> None:
    """Clean, noisy, wandering and lost rows, with and without gaps, over ten epochs."""
    u = phasors(700, missing)
    rows = np.arange(len(NOISE))
    bank = WitnessBank(epoch=64)
    bank.grow(len(rows))
    witnesses = [Witness(circular=True, epoch=64) for _ in rows]
    worst = 0.0
    for values in u:
        step = bank.step(rows, values)
        for row, witness in enumerate(witnesses):
            micro = witness.step(complex(values[row]))
            assert micro.valid == step.valid[row]
            worst = max(worst, abs(micro.innovation - step.innovation[row]))
            worst = max(worst, abs(micro.normalised - step.normalised[row]))
    for row, witness in enumerate(witnesses):
        made = witness.latest
        assert made is not None
        assert witness.scale is not None
        assert (made.misfit, witness.lost) == (bank["misfit"][row], bank.lost[row])
        for name, value in (
            ("gain", witness.gain),
            ("scale", witness.scale),
            ("rho", made.rho),
            ("slope", made.slope),
            ("lipschitz", made.lipschitz),
        ):
            worst = max(worst, abs(value - bank[name][row]))
    assert worst < 1e-12
    assert 0 < np.count_nonzero(bank.lost) < len(rows)


def test_rows_come_in_any_order_and_apart() -> None:
    u = phasors(200, 0.0)
    whole, parts = WitnessBank(epoch=64), WitnessBank(epoch=64)
    for bank in (whole, parts):
        bank.grow(len(NOISE))
    order = np.array([3, 0, 6])
    rest = np.setdiff1d(np.arange(len(NOISE)), order)
    for values in u:
        whole.step(np.arange(len(NOISE)), values)
        parts.step(order, values[order])
        parts.step(rest, values[rest])
    for name in ("gain", "scale", "carry", "spread"):
        assert np.array_equal(whole[name], parts[name])


def test_what_would_be_expected_is_what_comes() -> None:
    u = phasors(200, 0.1)
    rows = np.arange(len(NOISE))
    bank = WitnessBank(epoch=64)
    bank.grow(len(rows))
    share = np.linspace(0.5, 2.0, len(rows))
    for values in u:
        expected = bank.expected(rows, values, share)
        assert expected == pytest.approx(bank.step(rows, values, share).normalised, abs=1e-12)


def test_a_share_is_of_the_variance() -> None:
    """Innovations of half the variance, told so, teach the same scale."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((4096, 1)) * 0.1
    whole, half = WitnessBank(epoch=2048), WitnessBank(epoch=2048)
    for bank, values, share in (
        (whole, np.exp(1j * noise), 1.0),
        (half, np.exp(1j * noise * math.sqrt(0.5)), 0.5),
    ):
        bank.grow(1)
        for value in values:
            bank.step(np.array([0]), value, share)
    assert half["scale"][0] == pytest.approx(whole["scale"][0], rel=1e-9)


def test_a_row_that_knows_nothing_learns_sooner() -> None:
    bank = WitnessBank(epoch=256, first=32)
    bank.grow(1)
    ends = [k for k, values in enumerate(phasors(700, 0.0)) if bank.step(np.array([0]), values[:1]).ended.any()]
    assert ends == [32, 32 + 256, 32 + 512]


def test_a_restart_ends_what_was_expected_and_keeps_what_was_learnt() -> None:
    bank = WitnessBank(epoch=64)
    bank.grow(1)
    row = np.array([0])
    for values in phasors(100, 0.0):
        bank.step(row, values[:1])
    learnt = (bank["gain"][0], bank["scale"][0])
    bank.restart(row, np.array([1j]))
    assert abs(bank.step(row, np.array([1j])).innovation[0]) < 1e-15
    assert (bank["gain"][0], bank["scale"][0]) == learnt


@pytest.mark.parametrize("options", [{"epoch": 31}, {"first": 8}, {"gain": 1.5}, {"floor": -1.0}])
def test_a_bank_refuses_what_has_no_meaning(options: dict[str, Any]) -> None:
    with pytest.raises(KernelError):
        WitnessBank(**options)


def test_charts_are_drifts() -> None:
    rng = np.random.default_rng(2)
    threshold = threshold_for(200.0)
    charts, drifts = Charts(), [Drift(100.0) for _ in range(5)]
    charts.grow(5)
    rows = np.arange(5)
    alarms = 0
    for step in range(600):
        values = rng.standard_normal(5) * 0.3 + 0.002 * step * (rows % 2)
        alarm = charts.update(rows, values, np.full(5, 0.3), threshold)
        assert alarm.tolist() == [drift.update(value, 0.3) for drift, value in zip(drifts, values, strict=True)]
        alarms += int(alarm.sum())
        charts.clear(rows[alarm])
        assert charts.level(threshold) == pytest.approx(max(drift.level for drift in drifts), abs=1e-12)
    assert alarms > 5


def test_tables_are_the_tails() -> None:
    rng = np.random.default_rng(3)
    nis = rng.chisquare(16, 500) / 16 * np.exp(rng.standard_normal(500))
    rho, learnt_from = np.tanh(0.5 * rng.standard_normal(500)), rng.choice([64.0, 256.0], 500)
    found = healths(nis, rho, 16, learnt_from)
    exact = np.array([health(*of, 16, m) for of, m in zip(zip(nis, rho, strict=True), learnt_from, strict=True)])
    likely = exact[:, 2] > 1e-30
    assert found.p[likely] == pytest.approx(exact[likely, 2], rel=0.03)
    assert found.rho_p == pytest.approx(exact[:, 1], rel=0.01)
    p = np.concatenate((rng.random((200, 8)), rng.random((20, 8)) ** 6, 0.9 + 0.1 * rng.random((5, 8))))
    assert uniformities(p) == pytest.approx([uniformity_p(row) for row in p], rel=1e-6)


def test_a_deviate_has_its_probability() -> None:
    for p in (0.3, 1e-3, 1e-9):
        assert two_sided(deviate_of(p)) == pytest.approx(p, rel=1e-9)
    z, m = np.array([0.5, 3.0, 6.0]), np.array([64.0, 256.0, 1e8])
    assert [two_sided(x) for x in deviates(z, m).tolist()] == pytest.approx(
        [normal_tail(a, b) for a, b in zip(z.tolist(), m.tolist(), strict=True)], rel=1e-9
    )
