"""What is wrong with a rule is told with file, line, field and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from becomingone.config.loader import ConfigProblems, load
from becomingone.errors import ConfigError
from becomingone.hub.config import HubConfig
from becomingone.hub.rules.load import with_file
from becomingone.hub.rules.rule_section import RuleSection
from becomingone.hub.rules.section import MAX_RULES, DispatchSection

HEAD = """\
dispatch:
  timezone: Europe/Berlin
  rules:
    - name: first
      outputs: [display]
      set: {brightness: 0.5}
    - name: second
      outputs: kitchen/lamp
"""


def read(tmp_path: Path, text: str) -> HubConfig:
    path = tmp_path / "hub.yaml"
    path.write_text(text, "utf-8")
    return load(HubConfig, path, environ={})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/hub.yaml:") for line in caught.value.problems]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "      when: coherence > 0.5 and colapsed\n",
            "9: dispatch.rules[1].when: column 21: 'colapsed' is not known; did you mean collapsed?; here: coherence",
        ),
        ("      set:\n        hue: phase\n", "10: dispatch.rules[1].set.hue: column 1: hue cannot be in rad"),
        ("      set: {hue: 120, brightness: 1 +}\n", "9: dispatch.rules[1].set.brightness: column"),
        ("      set: {glow: 1}\n", "9: dispatch.rules[1].set.glow: no value 'glow' goes with the others"),
        ("      set: {hue: 1, volume: 1}\n", "9: dispatch.rules[1].set.volume: no value 'volume' goes with the others"),
        ("      when: bands.strife.order > 1\n", "9: dispatch.rules[1].when: column 7: the plan has no band strife"),
        ("      band: strife\n", "9: dispatch.rules[1].band: the plan has no band strife; it has fast, motion, stride"),
        ("      when: [a]\n", "9: dispatch.rules[1].when: must be text"),
        ("      wen: valid\n", "9: dispatch.rules[1].wen: unknown field; did you mean 'when'?"),
        ("      quiet_hours: 22-7\n", "9: dispatch.rules[1].quiet_hours: quiet hours are written 22:00-07:00"),
        ("      quiet_hours: ['22:00-07:00', x]\n", "9: dispatch.rules[1].quiet_hours[1]: quiet hours are written"),
        ("      event: emergense\n", "9: dispatch.rules[1].event: must be 'emergence'"),
        ("      for_s: 2\n", "9: dispatch.rules[1].for_s: is for rules with an event"),
        ("      event: emergence\n      off_for_s: 1\n", "9: dispatch.rules[1].event: a rule with an event has for_s"),
        ("      hysteresis: 0.1\n", "9: dispatch.rules[1].hysteresis: needs a when with exactly one comparison"),
        (
            "      hysteresis: 0.1\n      when: order > 0.1 and coherence > 0.1\n",
            "9: dispatch.rules[1].hysteresis: needs a when with exactly one comparison",
        ),
        ("      otherwise: go\n", "9: dispatch.rules[1].otherwise: must be 'rest' or 'hold'"),
        ("      otherwise: hold\n      set: {velocity: 1}\n", "9: dispatch.rules[1].otherwise: a motor never holds"),
        ("      rate_hz: 0\n", "9: dispatch.rules[1].rate_hz: must be greater than 0"),
        ("      priority: 2000\n", "9: dispatch.rules[1].priority: must be at most 1000"),
        ("    - name: first\n      outputs: display\n", "9: dispatch.rules[2].name: there is a rule first already"),
        ("    - name: Third\n      outputs: display\n", "9: dispatch.rules[2].name: must match the pattern"),
        ("    - name: third\n      outputs: [lamp]\n", "10: dispatch.rules[2].outputs[0]: must be <node>/<device>"),
        ("    - name: third\n      outputs: []\n", "10: dispatch.rules[2].outputs: must have at least 1"),
        (
            "    - name: third\n      outputs: [speaker]\n      set: {hue: 1}\n",
            "10: dispatch.rules[2].outputs: a speaker takes frequency, volume, not hue",
        ),
    ],
)
def test_it_is_told_where_and_what(tmp_path: Path, more: str, says: str) -> None:
    (line,) = problems(tmp_path, HEAD + more)
    assert line.startswith(says), line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dispatch: {timezone: Europe/Atlantis}", "1: dispatch.timezone: no time zone 'Europe/Atlantis' is known"),
        ("dispatch: {timezone: ../../etc/passwd}", "1: dispatch.timezone: no time zone"),
        ("dispatch: {quiet_hours: '22:00-07:00'}", "1: dispatch.quiet_hours: need dispatch.timezone"),
        (
            "dispatch:\n  rules:\n    - name: r\n      outputs: display\n      when: hour > 20",
            "5: dispatch.rules[0].when: hour and weekday need dispatch.timezone",
        ),
        (
            "dispatch:\n  rules:\n    - name: r\n      outputs: display\n      quiet_hours: 22:00-07:00",
            "5: dispatch.rules[0].quiet_hours: need dispatch.timezone",
        ),
        ("dispatch: {rules: night}", "1: dispatch.rules: must be a mapping"),
        ("dispatch: {keep_alive_s: 0}", "1: dispatch.keep_alive_s: must be greater than 0"),
        ("dispatch: {requests: {motors: maybe}}", "1: dispatch.requests.motors: must be true or false"),
    ],
)
def test_so_is_what_is_wrong_with_the_rest(tmp_path: Path, text: str, says: str) -> None:
    (line,) = problems(tmp_path, text + "\n")
    assert line.startswith(says), line


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = HEAD.replace("brightness: 0.5", "brightness: 0.5 *") + "      when: valid\n      rate_hz: -1\n"
    assert [line.split(":")[0] for line in problems(tmp_path, text)] == ["6", "10"]


def test_a_plain_number_and_a_plain_truth_are_expressions(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD + "      when: true\n      set: {brightness: 1, hue: 1.5e2}\n")
    second = config.dispatch.rules[1]
    assert (second.when, second.set) == ("true", {"brightness": "1", "hue": "150.0"})
    assert second.outputs == ("kitchen/lamp",)


def test_rules_have_an_end() -> None:
    rules = [{"name": f"r{n}", "outputs": "display"} for n in range(MAX_RULES + 1)]
    with pytest.raises(ValueError, match="at most 256 items"):
        DispatchSection.model_validate({"rules": rules})


# -- a file of their own -----------------------------------------------------------------------------------------------

RULES = """\
rules:
  - name: own
    outputs: display
    when: coherence > 0.5
"""


def test_rules_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    section = read(tmp_path, HEAD + "  rules_file: rules.yaml\n").dispatch
    whole = with_file(section, tmp_path, ["stride"])
    assert [rule.name for rule in whole.rules] == ["first", "second", "own"]
    assert whole.rules_file is None
    assert with_file(whole, tmp_path, ["stride"]) is whole


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RULES.replace("coherence", "coherense"), ":4: rules[0].when: column 1: 'coherense' is not known"),
        (RULES.replace("coherence", "bands.strife.order"), ":4: rules[0].when: column 7: the plan has no band strife"),
        (RULES.replace("coherence", "hour"), ":4: rules[0].when: hour and weekday need dispatch.timezone"),
        (RULES.replace("own", "first"), ":2: rules[0].name: there is a rule first already"),
        ("rules: []", ":1: rules: must have at least 1"),
        ("rule: []", ":1: rule: unknown field; did you mean 'rules'?"),
        ("rules: [\n", ":"),
    ],
)
def test_what_is_wrong_with_that_file_is_told_with_its_lines(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    first = RuleSection(name="first", outputs=("display",))
    section = DispatchSection(rules=(first,), rules_file="rules.yaml")
    with pytest.raises(ConfigError) as caught:
        with_file(section, tmp_path, ["stride"])
    assert f"{tmp_path}/rules.yaml{says}" in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        with_file(DispatchSection(rules_file="rules.yaml"), tmp_path, ["stride"])
