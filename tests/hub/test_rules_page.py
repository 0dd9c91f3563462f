"""The page on rules is true: each example does what it says, and its tables are those of the code."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from becomingone.hub.mesh.state import BandState
from becomingone.hub.rules import names
from becomingone.hub.rules.expression import MAX_LENGTH, MAX_NODES
from becomingone.hub.rules.functions import FUNCTIONS
from becomingone.hub.rules.rule_section import RuleSection
from becomingone.hub.rules.section import DispatchSection, RequestsSection

from .driving import Rig, band, output, significant
from .test_rules import with_channels

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
EXAMPLES: dict[str, dict[str, Any]] = {
    rule["name"]: rule
    for block in re.findall(r"```yaml\n(- .*?)```", PAGE, re.DOTALL)
    for rule in yaml.safe_load(block)
}
NODES = ("kitchen", "hall", "living-room")
OUTPUTS = (output("lamp"), output("horn", "speaker"), output("wheels", "motor"))


def example(name: str) -> Rig:
    rig = Rig({"rules": [EXAMPLES[name]], "timezone": "Europe/Berlin"})
    for node in NODES:
        rig.node(node, *OUTPUTS)
    return rig


def stride(field: complex = 0.6 + 0.3j, coherence: float = 0.8, **fields: Any) -> BandState:
    return band(field, coherence, **{"collapsed": True, "decidable": True, **fields})


def lit(rig: Rig, key: str = "hall/lamp") -> float:
    return float(rig.last(key)["brightness"])


def test_there_are_ten_and_the_first_is_complete() -> None:
    assert len(EXAMPLES) == 10
    whole = re.findall(r"```yaml\n(dispatch:.*?)```", PAGE, re.DOTALL)
    assert DispatchSection.model_validate(yaml.safe_load(whole[0])["dispatch"]).rules[0].name == "together"


def test_a_lamp_in_the_colour_of_the_phase_while_the_mesh_has_emerged() -> None:
    rig = example("emerged-colour")
    rig.tick(stride(1j))
    assert lit(rig) == 0.0
    rig.emerged = frozenset({"stride"})
    rig.tick(stride(1j))
    assert rig.last("hall/lamp") == {"hue": pytest.approx(90.0), "brightness": pytest.approx(0.8)}


def test_on_and_off_with_hysteresis_after_half_a_second() -> None:
    rig = example("steady")
    levels: list[float] = []
    for coherence in (0.72, 0.76, 0.72, 0.69):
        rig.tick(stride(coherence=coherence), ticks=12)
        levels.append(lit(rig))
    assert levels == pytest.approx([0.0, 0.8, 0.8, 0.0])


def test_a_flash_of_two_seconds() -> None:
    rig = example("flash")
    rig.tick(stride())
    rig.dispatch.heard("emergence", {"band": "stride"})
    rig.tick(stride(), ticks=39)
    assert rig.last("hall/lamp") == {"hue": 120.0, "brightness": 1.0}
    rig.tick(stride(), ticks=2)
    assert lit(rig) == 0.0


def test_a_chord_that_opens_with_the_order() -> None:
    rig = example("chord")
    found: list[float] = []
    for order in (0.2, 0.6, 0.95):
        rig.tick(stride(order=order))
        found.append(rig.last("hall/horn")["frequency"])
    assert found == pytest.approx([220.0, 330.0, 440.0])


def test_each_lamp_shows_its_own_difference() -> None:
    rig = Rig({"rules": [EXAMPLES["own-difference"]]})
    state = with_channels(rig, {"a": 0.0, "b": math.pi / 2, "c": math.pi})
    rig.tick(state)  # the field of all is at 0
    assert [rig.last(f"{node}/light")["hue"] for node in "abc"] == pytest.approx([0.0, 60.0, 120.0], abs=1e-3)
    assert lit(rig, "a/light") == 0.5


def test_two_people_who_are_one() -> None:
    rig = example("two-people")
    rig.pairs = {"anna-ben": {"stride": {"one": False, "coherence": 0.5}}}
    rig.tick(stride())
    assert lit(rig) == 0.0
    rig.pairs = {"anna-ben": {"stride": {"one": True, "coherence": 0.5}}}
    rig.tick(stride())
    assert rig.last("hall/lamp") == {"hue": 20.0, "brightness": 1.0}


def test_only_in_the_evening_and_never_at_night() -> None:
    rig = example("evening")  # 23:13 on a Tuesday
    rig.tick(stride())
    assert lit(rig, "living-room/lamp") == 0.0
    rig.scheduler.run_for(20 * 3600.0)  # 19:13 on Wednesday
    rig.tick(stride())
    assert rig.last("living-room/lamp") == {"hue": 30.0, "brightness": pytest.approx(0.7)}
    rig.scheduler.run_for(3 * 24 * 3600.0)  # Saturday
    rig.tick(stride())
    assert lit(rig, "living-room/lamp") == 0.0


def test_a_motor_needs_both_bands() -> None:
    rig = example("pendulum")
    wheels = "hall/wheels"
    rig.tick(stride(1j), significant(1 + 0j, name="motion", decidable=False))
    assert [key for key, _ in rig.commands if key == wheels] == []
    rig.tick(stride(1j), significant(1 + 0j, name="motion"))
    assert rig.last(wheels) == {"velocity": pytest.approx(0.5), "rotation": pytest.approx(0.2)}


def test_a_warning_when_the_kitchen_is_silent_and_then_what_was_shown_last() -> None:
    rig = example("missing")
    assert [key for key, _ in rig.tick(stride()) if key == "hall/lamp"] == []
    rig.scheduler.run_for(11.0)
    rig.tick(stride())
    assert rig.last("hall/lamp") == {"hue": 0.0, "brightness": 1.0}
    kitchen = rig.roster.get("kitchen")
    assert kitchen is not None
    kitchen.heard_ns = rig.scheduler.monotonic_ns()
    rig.tick(stride(), ticks=20)
    assert lit(rig) == 1.0


def test_a_tone_for_the_rhythm() -> None:
    rig = example("rhythm")
    rig.tick(stride(omega=2 * math.pi, time_us=rig.clock.now_us() + 50_000))
    assert rig.last("hall/horn")["frequency"] == pytest.approx(32.0)
    assert rig.last("hall/horn")["volume"] == pytest.approx(0.2 * abs(0.6 + 0.3j))


# -- the tables --------------------------------------------------------------------------------------------------------


def rows(section: str) -> list[str]:
    """What is in backquotes in the first column of the tables of a section."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [quoted for cell in first for quoted in re.findall(r"`([^`]+)`", cell)]


def test_the_fields_are_those_of_the_code() -> None:
    assert sorted(rows("A rule")) == sorted(RuleSection.model_fields)
    assert sorted(rows("Requests")) == sorted(RequestsSection.model_fields)
    elsewhere = {"band", "defaults", "rules", "requests"}
    assert set(rows("When and how often")) == set(DispatchSection.model_fields) - elsewhere


def test_the_names_and_functions_are_those_of_the_code() -> None:
    listed = rows("Expressions")
    functions = {name.split("(")[0] for name in listed if re.fullmatch(r"\w+\(.*\)", name)}
    assert functions == set(FUNCTIONS)
    plain = {name for name in listed if re.fullmatch(r"\w+", name)}
    assert plain == set(names.BAND) | set(names.CLOCK) | set(names.CONSTANTS)
    text = PAGE.split("\n## Expressions\n")[1].split("\n## ")[0]
    for line, table in (
        ("`own.phase`", names.NODE),
        ("`we('anna-ben').one`", names.WE),
        ("`cell.coherence`", names.CELL),
    ):
        (row,) = [row for row in text.splitlines() if line in row]
        assert set(table) <= set(re.findall(r"`(\w+)`", row)), line
    assert f"At most {MAX_LENGTH} characters and {MAX_NODES} parts" in " ".join(PAGE.split())


@pytest.mark.parametrize(
    ("section", "model"), [("Requests", RequestsSection()), ("When and how often", DispatchSection())], ids=str
)
def test_the_defaults_are_those_of_the_code(section: str, model: RequestsSection | DispatchSection) -> None:
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    checked = 0
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if not line.startswith("| `"):
            continue
        values = [getattr(model, name) for name in re.findall(r"`(\w+)`", cells[1])]
        numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cells[2].replace("86,400", "86400"))]
        if numbers:
            assert numbers == values, line
        else:
            assert all(f"{value}".lower() == cells[2] or not value for value in values), line
        checked += len(values)
    assert checked == len(rows(section))
