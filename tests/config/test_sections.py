"""What every member of a cell must agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from becomingone.config.loader import ConfigProblems, digest, load
from becomingone.config.sections import BandSection, CellConfig
from becomingone.kairos.bands import DEFAULT_BANDS, Band


def read(tmp_path: Path, text: str) -> CellConfig:
    path = tmp_path / "cell.yaml"
    path.write_text(text, "utf-8")
    return load(CellConfig, path, environ={})


def test_a_cell_that_names_no_bands_has_the_built_in_plan() -> None:
    assert CellConfig().band_plan() == list(DEFAULT_BANDS)
    assert digest(CellConfig()) == digest(CellConfig(bands=CellConfig().bands))


def test_a_band_may_leave_lag_and_window_to_the_kernel() -> None:
    cell = CellConfig(bands={"walk": BandSection(frequency_hz=0.78, tau_s=1.0)})
    assert cell.band_plan() == [Band.of("walk", 0.78, 1.0)]
    explicit = BandSection(frequency_hz=0.78, tau_s=1.0, lag_s=10.0, coherence_tau_s=20.0)
    assert explicit.band("walk") == Band("walk", 0.78, 1.0, 10.0, 20.0)


def test_the_plan_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    cell = read(tmp_path, "bands:\n  b: {frequency_hz: 1, tau_s: 1}\n  a: {frequency_hz: 2, tau_s: 1}\n")
    assert [band.name for band in cell.band_plan()] == ["b", "a"]


BAD = [
    ("cell: Home", "1: cell: must match the pattern"),
    ("cell: ''", "1: cell: must match the pattern"),
    (f"cell: {'x' * 64}", "1: cell: must match the pattern"),
    ("root: a//b", "1: root: must match the pattern"),
    ("root: /a", "1: root: must match the pattern"),
    ("root: a/+", "1: root: must match the pattern"),
    ("bands: {}", "1: bands: must have at least 1 items"),
    ("bands:\n  Fast: {frequency_hz: 1, tau_s: 1}", "2: bands.Fast: must match the pattern"),
    ("bands:\n  a:\n    tau_s: 1", "2: bands.a.frequency_hz: is missing (must be a number)"),
    ("bands:\n  a: {frequency_hz: -1, tau_s: 1}", "2: bands.a.frequency_hz: must be greater than 0 (got -1)"),
    ("bands:\n  a: {frequency_hz: .inf, tau_s: 1}", "2: bands.a.frequency_hz: must be a finite number (got .inf)"),
    ("bands:\n  a: {frequency_hz: 1, tau_s: .nan}", "2: bands.a.tau_s: must be"),
    ("bands:\n  a: {frequency_hz: 1, tau_s: 1, lag_s: 6}", "2: bands.a: band a: lag_s is 6 s; it must be at least 2πτ"),
    (
        "bands:\n  a: {frequency_hz: 1, tau_s: 1}\n  b: {frequency_hz: 1, tau_s: 1, coherence_tau_s: 7}",
        "3: bands.b: band b: coherence_tau_s is 7 s; it must be at least 8τ",
    ),
    ("bands:\n  a: {frequency_hz: 1, tau_s: 1, q: 5}", "2: bands.a.q: unknown field"),
    ("kairos: {p_false: 0}", "1: kairos.p_false: must be greater than 0 (got 0)"),
    ("kairos: {p_false: 0.5}", "1: kairos.p_false: must be less than 0.5 (got 0.5)"),
    ("logging: {level: LOUD}", "1: logging.level: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ("sell: home", "1: sell: unknown field; did you mean 'cell'?"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_is_wrong_is_told_with_its_line_and_field(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, text + "\n")
    (line,) = caught.value.problems
    assert line.startswith(f"{tmp_path}/cell.yaml:{says}"), line


def test_the_root_may_have_several_levels() -> None:
    assert CellConfig(root="lab-2/becomingone").root == "lab-2/becomingone"


@pytest.mark.parametrize("section", [CellConfig(), BandSection(frequency_hz=1.0, tau_s=1.0)])
def test_a_configuration_cannot_be_changed(section: Any) -> None:
    field = next(iter(type(section).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(section, field, getattr(section, field))


def test_at_most_64_bands() -> None:
    bands = {f"b{n}": BandSection(frequency_hz=1.0, tau_s=1.0) for n in range(65)}
    with pytest.raises(ValidationError, match="at most 64"):
        CellConfig(bands=bands)
