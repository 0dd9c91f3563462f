"""The clocks' benchmark: a world as it says it is, the other way as it is described, and a report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from becomingone.bench import clock


def test_a_world_is_as_its_path_says() -> None:
    path = dataclasses.replace(clock.LOADED, up_s=1e-3, down_s=4e-3)
    made = clock.world(path, 1, duration_s=1200.0)
    probes = [probe for burst in made.bursts for probe in burst]
    up = np.array([probe.hub_received_ns - made.true_ns(probe.sent_ns) for probe in probes]) * 1e-9
    down = np.array([made.true_ns(probe.received_ns) - probe.hub_sent_ns for probe in probes]) * 1e-9
    assert up.min() > 0.999e-3
    assert down.min() > 0.999e-3
    assert up.mean() == pytest.approx(2e-3, rel=0.15)
    assert down.mean() == pytest.approx(5e-3, rel=0.15)
    rate = np.diff(made.difference) / 0.1
    assert np.abs(rate).max() < 52e-6
    assert np.std(np.diff(rate)) == pytest.approx(path.wander * 0.1**0.5, rel=0.1)


def test_the_other_way_is_wrong_by_what_its_quickest_probe_waited() -> None:
    still = dataclasses.replace(clock.LOADED, up_s=1e-12, down_s=1e-12, wander=0.0)
    made = clock.world(still, 1, duration_s=300.0)
    assert clock.rms(clock.lsl(made)) < 1e-8
    assert clock.rms(clock.lsl_smoothed(made)) < 1e-7
    assert clock.rms(clock.weighted(made)) < 1e-7
    lopsided = dataclasses.replace(still, base_s=0.0, up_s=2e-3)
    errors = clock.lsl(clock.world(lopsided, 1, duration_s=1200.0))
    assert np.mean(errors) == pytest.approx(2e-3 / clock.BURST / 2.0, rel=0.3)  # the quickest of eight, half of it


def test_the_report_has_both_ways() -> None:
    report = clock.run(seeds=1)
    assert len(report.rows) == 2 + len(clock.FURTHER)
    for row in report.rows:
        assert row.baseline is not None
        assert 0.0 < row.ours < row.baseline
        assert 0.0 < row.more["within 2 sigma"] <= 1.0
