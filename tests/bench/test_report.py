"""What a benchmark says, to programs and to people; that each benchmark runs. Never how fast."""

from __future__ import annotations

import json
import math

import pytest

from becomingone.bench import sync, tick
from becomingone.bench.registry import BENCHES, run
from becomingone.bench.report import Report, Row
from becomingone.bench.timing import paired, paired_fresh
from becomingone.cli import main
from becomingone.errors import ConfigError

KEYS = {"bench", "baseline", "ours", "ratio", "target", "ok", "details"}
GOOD = Row("one", "ms", 2.0, 1.0, 0.5, "at most 3 ms", ok=True)
BAD = Row("two", "ms", None, 9.0, None, "at most 3 ms", ok=False, more={"ns a node": 12.5})


def test_json_has_the_keys_and_a_row_that_missed_stands_for_the_whole() -> None:
    good = Report("x", [GOOD, GOOD]).as_json()
    assert set(good) == KEYS
    assert (good["bench"], good["ok"], good["ours"], good["ratio"]) == ("x", True, 1.0, 0.5)
    missed = Report("x", [GOOD, BAD]).as_json()
    assert (missed["ok"], missed["ours"], missed["baseline"]) == (False, 9.0, None)
    assert [row["bench"] for row in missed["details"]] == ["one", "two"]
    assert missed["details"][1]["more"] == {"ns a node": 12.5}
    assert json.loads(json.dumps(missed)) == missed


def test_what_is_not_a_number_is_null() -> None:
    text = json.dumps(Report("x", [Row("a", "", math.nan, math.inf, math.nan, "none", ok=True)]).as_json())
    assert "NaN" not in text
    assert "Infinity" not in text


def test_the_table_shows_every_row() -> None:
    lines = Report("x", [GOOD, BAD]).lines()
    assert any("one" in line and line.endswith("ok") for line in lines)
    assert any("two" in line and "MISSED" in line for line in lines)
    assert any("ns a node 12.5" in line for line in lines)


def test_both_are_called_in_every_round_and_prepared_before() -> None:
    calls: list[str] = []
    timing = paired(lambda: calls.append("baseline"), lambda: calls.append("ours"), rounds=3, calls=2)
    assert calls.count("baseline") == calls.count("ours") >= 6
    assert timing.baseline_s > 0
    assert timing.ours_s > 0
    assert timing.ratio > 0
    calls.clear()
    paired_fresh(
        lambda: calls.append("baseline"),
        lambda: calls.append("ours"),
        lambda: calls.append("prepare"),
        rounds=2,
        calls=3,
    )
    assert all(calls[k - 1] == "prepare" for k, call in enumerate(calls) if call == "ours")
    assert calls.count("ours") >= 6


def test_the_tick_of_a_few_nodes_is_measured() -> None:
    report = tick.run(sizes={3: None, 20: 1e9, 60: 1e9}, rounds=2)
    assert [row.bench for row in report.rows[:3]] == [f"tick of {n} nodes" for n in (3, 20, 60)]
    assert all(row.ours > 0 and row.ratio and row.ratio > 0 for row in report.rows[:3])
    assert all(row.ok for row in report.rows[:3])
    assert not tick.run(sizes={3: 0.0}, rounds=1).ok


def test_the_order_of_a_few_hundred_oscillators_is_measured() -> None:
    report = sync.run(oscillators=400, gains=(3.0,))
    order, time = report.rows
    assert order.ours == pytest.approx(math.sqrt(1 - 1 / 3), rel=0.05)
    assert order.baseline == pytest.approx(math.sqrt(1 - 1 / 3))
    assert time.ratio == pytest.approx(1.0, abs=0.1)


def test_every_benchmark_has_a_line_and_an_unknown_one_is_refused() -> None:
    assert {"kernel", "sync", "tick"} <= set(BENCHES)
    assert all(BENCHES.values())
    with pytest.raises(ConfigError, match="sync"):
        run("nonsense")


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_the_command_ends_with_one_when_a_target_is_missed(
    ok: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tick, "run", lambda: Report("tick", [GOOD if ok else BAD]))
    assert main(["bench", "tick", "--json"]) == code
    out = capsys.readouterr().out
    assert set(json.loads(out)) == KEYS
    assert main(["bench", "tick"]) == code
    assert ("ok" if ok else "MISSED") in capsys.readouterr().out


def test_the_command_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in BENCHES)
    assert main(["bench", "nonsense"]) == 2
    assert "tick" in capsys.readouterr().err
