"""The kernel's benchmark runs, and finds the same phase-locking values as mne-connectivity; never how fast."""

from __future__ import annotations

import json

import pytest

from becomingone.bench import kernel

pytestmark = pytest.mark.reference


def test_the_kernel_is_measured_and_agrees_with_mne(monkeypatch):
    monkeypatch.setattr(kernel, "SHAPES", ((64, 20.0, 60.0),))
    monkeypatch.setattr(kernel, "PLV_FASTER", {4: 0.0})
    report = kernel.run(rounds=1, settle=False)
    rows = report.as_json()["details"]
    assert len(rows) == 7
    assert json.dumps(rows)
    assert all(row["ours"] > 0 and row["ratio"] > 0 for row in rows)
    assert rows[-1]["more"]["greatest difference"] < 1e-12
    assert rows[-1]["ok"]
