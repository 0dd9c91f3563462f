"""Rules at work: when they fire, for which outputs, and what their outputs do otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import RowKey
from becomingone.hub.rules.quiet import is_quiet, span
from becomingone.hub.rules.rule import Rule
from becomingone.hub.rules.rule_section import RuleSection
from becomingone.wire.announce import State

from .driving import TICK_S, Rig, band, output, significant


def rule(name: str = "r", **fields: Any) -> dict[str, Any]:
    return {"name": name, "outputs": ["display"], "set": {"brightness": 1}, **fields}


def rig(*rules: dict[str, Any], **section: Any) -> Rig:
    made = Rig({"rules": list(rules), **section})
    made.node()
    return made


def brightness(made: Rig) -> float:
    value: float = made.last()["brightness"]
    return value


def steady(coherence: float, **fields: Any) -> BandState:
    return band(0.5 + 0j, coherence, **fields)


# -- which outputs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("display", {"a/lamp", "a/light", "b/lamp"}),
        ("a/lamp", {"a/lamp"}),
        ("a/*", {"a/lamp", "a/light"}),
        ("*/lamp", {"a/lamp", "b/lamp"}),
        ("*/l*p", {"a/lamp", "b/lamp"}),
        ("*/*a*", {"a/lamp", "b/lamp"}),
        ("*/*", {"a/lamp", "a/light", "b/lamp"}),
        ("b/l*mpa", set[str]()),
        ("*/lam*mp", set[str]()),
    ],
)
def test_a_rule_drives_the_outputs_that_it_names(pattern: str, taken: set[str]) -> None:
    outputs = [("a", "lamp"), ("a", "light"), ("b", "lamp")]
    made = Rule(RuleSection.model_validate(rule(outputs=pattern)))
    assert {f"{node}/{device}" for node, device in outputs if made.takes(node, device, "display")} == taken


def test_a_rule_with_values_takes_only_outputs_that_have_them() -> None:
    made = Rule(RuleSection.model_validate(rule(outputs="*/*")))
    assert made.takes("n", "light", "display")
    assert not made.takes("n", "horn", "speaker")
    assert not made.takes("n", "wheels", "motor")


def test_what_no_rule_names_follows_the_documents_mapping() -> None:
    made = rig(rule(outputs=["n/lamp"]))
    made.node("n", output(), output("lamp"))
    made.tick(steady(0.4))
    assert made.last("n/light") == {"hue": pytest.approx(270.0), "brightness": pytest.approx(0.4)}
    assert made.last("n/lamp") == {"hue": 0.0, "brightness": 1.0}
    assert made.dispatch.figures()["rules"]["r"]["outputs"] == 1


def test_a_rule_without_values_has_the_documents_mapping_under_its_condition() -> None:
    made = rig({"name": "r", "outputs": ["display"], "when": "coherence > 0.5"})
    made.tick(steady(0.4))
    assert made.last() == {"hue": 0.0, "brightness": 0.0}
    made.tick(steady(0.6))
    assert made.last() == {"hue": pytest.approx(270.0), "brightness": pytest.approx(0.6)}
    made.tick(steady(0.4))
    assert made.last() == {"hue": pytest.approx(270.0), "brightness": 0.0}  # what nobody names stays


# -- when --------------------------------------------------------------------------------------------------------------


def test_without_a_condition_a_rule_fires_always_and_clamps_what_it_sets() -> None:
    made = rig(rule(set={"brightness": "10 * coherence", "hue": "-5"}))
    made.tick(steady(0.9))
    assert made.last() == {"brightness": 1.0, "hue": 0.0}


def test_the_greatest_priority_that_fires_wins_and_the_first_of_equals() -> None:
    made = rig(
        rule("low", set={"brightness": 0.1}, priority=-1),
        rule("first", set={"brightness": 0.2}, when="coherence > 0.5"),
        rule("second", set={"brightness": 0.3}, when="coherence > 0.5"),
        rule("high", set={"brightness": 0.4}, when="coherence > 0.8", priority=5),
    )
    found: list[tuple[float, str]] = []
    for coherence in (0.3, 0.6, 0.9, 0.3):
        made.tick(steady(coherence))
        found.append((round(brightness(made), 3), made.one().wish.source))
    assert found == [(0.1, "low"), (0.2, "first"), (0.4, "high"), (0.1, "low")]


def test_while_no_rule_fires_a_light_is_dark_a_speaker_silent_and_a_motor_is_told_nothing() -> None:
    made = Rig({"rules": [{"name": "r", "outputs": ["*/*"], "when": "false"}]})
    made.node("n", output(), output("horn", "speaker"), output("wheels", "motor"))
    made.tick(significant(), ticks=5)
    assert made.last() == {"hue": 0.0, "brightness": 0.0}
    assert made.last("n/horn") == {"frequency": 440.0, "volume": 0.0}
    assert {key for key, _ in made.commands} == {"n/light", "n/horn"}


def test_a_rule_may_hold_the_last_values_instead() -> None:
    made = rig(rule(when="coherence > 0.5", set={"brightness": "coherence"}, otherwise="hold"))
    assert made.tick(steady(0.3), ticks=5) == []  # there is nothing yet to hold
    made.tick(steady(0.75))
    made.tick(steady(0.3), ticks=40)
    assert brightness(made) == 0.75
    assert made.one().sent >= 4  # and it is told so again and again


def test_what_is_undefined_does_not_fire_and_is_counted_and_shown() -> None:
    made = rig(rule("sharp", set={"brightness": "locking"}, priority=1), rule("plain", set={"brightness": 0.5}))
    made.tick(steady(0.5), ticks=3)
    assert brightness(made) == 0.5
    figures = made.dispatch.figures()["rules"]
    assert figures["sharp"] == {
        "on": False,
        "why": "undefined: locking is not known yet",
        "fired": 0,
        "undefined": 3,
        "outputs": 1,
    }
    assert (figures["plain"]["on"], figures["plain"]["why"]) == (True, "fires")


def test_an_undefined_condition_does_not_hold() -> None:
    made = rig(rule(when="not coherence > 0.5"))
    made.tick(steady(0.9, valid=False))
    assert brightness(made) == 0.0
    assert made.dispatch.rules[0].undefined == 1


def test_hysteresis_eases_the_comparison_while_the_rule_fires() -> None:
    made = rig(rule(when="coherence > 0.75", hysteresis=0.05))
    on = []
    for coherence in (0.74, 0.76, 0.74, 0.71, 0.69, 0.74):
        made.tick(steady(coherence))
        on.append(made.dispatch.rules[0].on)
    assert on == [False, True, True, True, False, False]


def test_a_condition_must_hold_and_fail_for_so_long() -> None:
    made = rig(rule(when="coherence > 0.5", on_for_s=0.5, off_for_s=1.0))
    (one,) = made.dispatch.rules

    def until(coherence: float, on: bool) -> float:
        for turn in range(100):
            made.tick(steady(coherence))
            if one.on is on:
                return turn * TICK_S
        raise AssertionError("it never was")

    assert until(0.9, on=True) == pytest.approx(0.5)
    made.tick(steady(0.1), ticks=10)
    made.tick(steady(0.9))  # it holds again: the time begins anew
    assert one.on
    assert until(0.1, on=False) == pytest.approx(1.0)
    made.tick(steady(0.9), ticks=5)
    assert one.why == "the condition has held for less than on_for_s"


def test_a_rule_tells_when_it_begins_and_ceases_at_most_once_a_second() -> None:
    made = rig(rule(when="coherence > 0.5"))
    for turn in range(100):  # 5 s
        made.tick(steady(0.9 if turn % 2 else 0.1))
    assert 2 <= len(made.told("rule")) <= 6
    assert made.told("rule")[0] == {"rule": "r", "on": True, "why": "fires"}


def test_a_rule_keeps_its_own_pace() -> None:
    made = rig(rule(set={"brightness": "coherence"}, rate_hz=2))
    for turn in range(200):  # 10 s
        made.tick(steady((turn % 20) / 20))
    assert 19 <= len(made.commands) <= 22


def test_emerged_is_what_the_hub_says() -> None:
    made = rig(rule(when="emerged"))
    made.tick(steady(0.9))
    assert brightness(made) == 0.0
    made.emerged = frozenset({"stride"})
    made.tick(steady(0.9))
    assert brightness(made) == 1.0


# -- events ------------------------------------------------------------------------------------------------------------


def test_an_event_makes_a_rule_fire_for_a_while() -> None:
    made = rig(rule(event="emergence", for_s=2, when="coherence > 0.5"))
    made.tick(steady(0.9))
    assert brightness(made) == 0.0
    made.dispatch.heard("emergence", {"band": "stride"})
    made.tick(steady(0.9), ticks=39)
    assert brightness(made) == 1.0
    made.tick(steady(0.9), ticks=2)
    assert brightness(made) == 0.0
    made.dispatch.heard("dissolution", {"band": "stride"})
    made.tick(steady(0.9))
    assert brightness(made) == 0.0
    made.dispatch.heard("emergence", {"band": "stride"})
    made.tick(steady(0.1))
    assert brightness(made) == 0.0  # and its condition must hold as well


def test_an_event_of_another_band_is_another_rule_s() -> None:
    made = rig(rule(event=["emergence", "joined"], band="stride"))
    for kind, content, lit in (
        ("emergence", {"band": "motion"}, 0.0),
        ("emergence", {"band": "stride"}, 1.0),
        ("joined", {"node": "x"}, 1.0),
    ):
        made.tick(steady(0.9), ticks=50)
        made.dispatch.heard(kind, content)
        made.tick(steady(0.9))
        assert brightness(made) == lit, kind


# -- the local day -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quiet", "loud"),
    [
        ("22:00-07:00", ["22:00", "23:59", "00:00", "06:59"], ["07:00", "12:00", "21:59"]),
        ("08:00 - 12:30", ["08:00", "12:29"], ["07:59", "12:30", "00:00"]),
        ("18:00-24:00", ["18:00", "23:59"], ["00:00", "17:59"]),
        ("00:00-24:00", ["00:00", "12:00", "23:59"], []),
        ("22:00-00:00", ["22:00", "23:59"], ["00:00", "21:59"]),
    ],
)
def test_quiet_hours_are_of_the_clock_on_the_wall(text: str, quiet: list[str], loud: list[str]) -> None:
    def at(clock: str) -> datetime:
        return datetime.strptime(f"2024-05-01 {clock}", "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo("Europe/Berlin"))

    assert all(is_quiet((text,), at(clock)) for clock in quiet)
    assert not any(is_quiet((text,), at(clock)) for clock in loud)


@pytest.mark.parametrize("text", ["", "22-7", "24:00-07:00", "22:00-25:00", "07:00-07:00", "22:60-07:00", "late"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quiet hours are written|is empty"):
        span(text)


def local_hours(start_us: int, count: int) -> list[tuple[str, bool]]:
    """Local time and whether the rule fires, every half hour."""
    made = rig(rule(set={"brightness": 1}, quiet_hours="02:00-03:00"), timezone="Europe/Berlin")
    made.scheduler.run_for((start_us - made.clock.now_us()) / 1e6)
    found: list[tuple[str, bool]] = []
    zone = ZoneInfo("Europe/Berlin")
    for _ in range(count):
        made.tick(steady(0.9))
        local = datetime.fromtimestamp(made.clock.now_us() / 1e6, zone)
        found.append((f"{local:%H:%M}", made.dispatch.rules[0].on))
        made.scheduler.run_for(1800 - TICK_S)
    return found


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1e6)


def test_an_hour_that_comes_twice_in_autumn_is_quiet_twice() -> None:
    found = local_hours(at("2024-10-27T01:30:00+02:00"), 8)
    assert [clock for clock, on in found if not on] == ["02:00", "02:30", "02:00", "02:30"]
    assert [clock for clock, on in found if on] == ["01:30", "03:00", "03:30", "04:00"]


def test_an_hour_that_does_not_come_in_spring_is_not_quiet() -> None:
    found = local_hours(at("2024-03-31T01:30:00+01:00"), 4)
    assert found == [("01:30", True), ("03:00", True), ("03:30", True), ("04:00", True)]


def test_quiet_hours_of_all_are_those_of_rules_without_their_own_and_never_hold() -> None:
    hold = {"otherwise": "hold"}
    made = rig(
        rule("a", outputs="n/light", **hold),
        rule("b", outputs="n/lamp", quiet_hours="03:00-04:00"),
        timezone="UTC",
        quiet_hours=["22:14-22:15"],
    )
    made.node("n", output(), output("lamp"))
    made.tick(steady(0.9))
    assert (brightness(made), made.last("n/lamp")["brightness"]) == (1.0, 1.0)
    made.scheduler.run_for(60.0)
    made.tick(steady(0.9))
    assert (brightness(made), made.last("n/lamp")["brightness"]) == (0.0, 1.0)
    assert made.dispatch.figures()["rules"]["a"]["why"] == "quiet hours"


# -- figures of nodes --------------------------------------------------------------------------------------------------


def with_channels(made: Rig, phases: dict[str, float]) -> BandState:
    rows: list[int] = []
    for number, (name, phase) in enumerate(phases.items()):
        made.node(name)
        row = made.table.row(RowKey(name, "stride", "tone"), node=number, band=0, max_age_s=1.0, capability=1.0)
        made.table["weight"][row] = 2.0
        made.table["coherence"][row] = 0.5
        made.table["phasor"][row] = np.exp(1j * phase)
        rows.append(row)
    return steady(0.5, rows=np.array(rows, np.intp), channels=len(rows))


def test_own_is_the_output_s_own_node() -> None:
    made = Rig({"rules": [rule(set={"hue": "hue(own.phase)", "brightness": "own.coherence"})]})
    state = with_channels(made, {"a": 0.0, "b": np.pi / 2, "c": np.pi})
    made.node("deaf")
    made.tick(state)
    assert [made.last(f"{name}/light")["hue"] for name in "abc"] == pytest.approx([0.0, 90.0, 180.0], abs=1e-4)
    assert made.last("deaf/light")["brightness"] == 0.0
    assert made.dispatch.rules[0].on


def test_a_node_s_phase_goes_on_between_its_frames() -> None:
    made = Rig({"rules": [rule(set={"hue": "hue(own.phase)"})]})
    state = with_channels(made, {"a": 0.0})
    made.table["omega"][0], made.table["time_us"][0] = np.pi, made.clock.now_us()
    made.scheduler.run_for(0.45)
    made.tick(state)  # half a second later, a quarter of a turn on
    assert made.last("a/light")["hue"] == pytest.approx(90.0)


def test_a_channel_that_has_not_been_weighed_yet_does_not_count() -> None:
    made = Rig({"rules": [rule(set={"brightness": "own.coherence"})]})
    state = with_channels(made, {"a": 0.0, "b": 0.0})
    made.table["weight"][1] = 0.0
    made.tick(state)
    assert (brightness_of(made, "a"), brightness_of(made, "b")) == (0.5, 0.0)


def test_a_named_node_and_how_far_it_is_apart() -> None:
    made = Rig({"rules": [rule(when="apart(node('a').phase, node('b').phase) > 1 and node('a').ready")]})
    state = with_channels(made, {"a": 3.1, "b": -3.1})
    made.tick(state)
    assert brightness_of(made, "a") == 0.0
    state = with_channels(made, {"a": 1.0, "b": -1.0})
    made.tick(state)
    assert brightness_of(made, "a") == 1.0
    member = made.roster.get("a")
    assert member is not None
    member.state = State.LOST
    made.tick(state)
    assert brightness_of(made, "b") == 0.0


def brightness_of(made: Rig, node: str) -> float:
    value: float = made.last(f"{node}/light")["brightness"]
    return value


def test_a_rule_forgets_outputs_that_are_gone() -> None:
    made = Rig({"rules": [rule(when="own.ready")]})
    member = made.node()
    made.tick(steady(0.9))
    assert made.dispatch.rules[0].on
    member.about = None
    made.tick(steady(0.9))
    assert not made.dispatch.rules[0].on


# -- replay ------------------------------------------------------------------------------------------------------------


def test_the_same_run_gives_the_same_commands() -> None:
    def run() -> list[Any]:
        made = rig(
            rule("a", when="coherence > 0.5", hysteresis=0.1, off_for_s=0.3, set={"hue": "hue(phase)"}),
            rule("b", event="joined", set={"brightness": "lerp(0, 1, order)"}, priority=2),
        )
        random = np.random.default_rng(5)
        for turn in range(300):
            field = complex(*random.uniform(-0.7, 0.7, 2))
            if turn % 50 == 0:
                made.dispatch.heard("joined", {})
            made.tick(band(field, float(random.uniform()), order=float(random.uniform())))
        return made.commands

    assert run() == run()
