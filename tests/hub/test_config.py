"""What is wrong in the hub's file is told with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from becomingone.config.loader import ConfigProblems, load
from becomingone.hub.config import HubConfig


def read(tmp_path: Path, text: str) -> HubConfig:
    path = tmp_path / "hub.yaml"
    path.write_text(text, "utf-8")
    return load(HubConfig, path, environ={})


def test_an_empty_mapping_is_a_hub(tmp_path: Path) -> None:
    config = read(tmp_path, "{}\n")
    assert (config.tick_hz, config.master.tau_s, config.ingest.max_age_periods) == (20.0, 60.0, 4.0)
    assert read(tmp_path, "cell: home\ndispatch: {band: stride}\n").dispatch.band == "stride"


BAD = [
    ("tick_hz: 0", "1: tick_hz: must be at least 1 (got 0)"),
    ("tick_hz: 1000", "1: tick_hz: must be at most 200 (got 1000)"),
    ("tick_hz: .nan", "1: tick_hz: must be"),
    ("cell: home\nmaster:\n  tau_s: 0", "3: master.tau_s: must be greater than 0 (got 0)"),
    ("master: {tau_s: 1e9}", "1: master.tau_s: must be at most 86400 (got 1e9)"),
    ("decision: {dwell_s: -1}", "1: decision.dwell_s: must be at least 0 (got -1)"),
    ("ingest: {max_age_periods: 0}", "1: ingest.max_age_periods: must be greater than 0 (got 0)"),
    ("ingest: {max_ahead_s: .inf}", "1: ingest.max_ahead_s: must be a finite number (got .inf)"),
    ("dispatch: {rate_hz: 1001}", "1: dispatch.rate_hz: must be at most 1000 (got 1001)"),
    ("dispatch: {expiry_s: 61}", "1: dispatch.expiry_s: must be at most 60 (got 61)"),
    ("dispatch:\n  band: strife", "2: dispatch.band: the plan has no band strife; it has fast, motion, stride"),
    ("bands:\n  a: {frequency_hz: 1, tau_s: 1}\ndispatch: {band: stride}", "3: dispatch.band: the plan has no band"),
    ("operate: {per_minute: 0}", "1: operate.per_minute: must be greater than 0 (got 0)"),
    ("operate:\n  verbs: [log, rebirth]", "2: operate.verbs[1]: must be"),
    ("despatch: {}", "1: despatch: unknown field; did you mean 'dispatch'?"),
    ("kairos: {p_false: 1}", "1: kairos.p_false: must be less than 0.5 (got 1)"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_is_wrong_is_told_with_its_line_and_field(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, text + "\n")
    (line,) = caught.value.problems
    assert line.startswith(f"{tmp_path}/hub.yaml:{says}"), line


def test_a_cell_is_no_child_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match=r"relay\.parent: home is this cell"):
        read(tmp_path, "cell: home\nrelay: {parent: home}\n")
    elsewhere = read(tmp_path, "cell: home\nrelay: {parent: home, broker: {url: mqtt://street}}\n")
    assert elsewhere.relay.parent == "home"
