"""Fault plans as YAML: those that come along, and what is said of one that is wrong."""

import re
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.sim.plan import FaultPlan, load_plan, names, plan_file


def written(tmp_path, text):
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    return str(file)


def test_the_plans_that_come_along():
    assert names() == ["calm", "crashes", "storm", "wifi"]
    plans = {name: load_plan(name, environ={}) for name in names()}
    assert plans["calm"] == FaultPlan()
    assert {fault.kind for fault in plans["storm"].faults} == {
        "cut",
        "half_open",
        "partition",
        "kill",
        "broker_crash",
        "clock_step",
    }
    assert len({plan.title for plan in plans.values()}) == 4
    for name in names():
        assert plan_file(name).read_text().startswith("#")


def test_a_plan_survives_being_written_as_json():
    for name in names():
        plan = load_plan(name, environ={})
        assert FaultPlan.model_validate_json(plan.model_dump_json()) == plan


def test_who_is_meant(tmp_path):
    plan = load_plan(
        written(
            tmp_path,
            """
            network:
              paths:
                - clients: [hub]
                  up: {delay_ms: 1}
                - clients: ["n?", becomingone.home.node.attic]
                  up: {delay_ms: 2}
            clocks:
              - {clients: [n1], offset_s: 5}
            """,
        ),
        environ={},
    )

    def delay(client_id):
        return plan.network.path(client_id).up.delay_ms.sample(None)

    assert delay("becomingone.home.hub") == 1
    assert delay("becomingone.home.node.n1") == delay("becomingone.home.node.attic") == 2
    assert plan.network.path("becomingone.lab.node.attic").clients == ("*",)  # nobody's: a wired network
    assert plan.clock("x.n1").offset_s.sample(None) == 5
    assert plan.clock("x.n2").offset_s.sample(None) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("faults:\n  - {kind: cut}\n", "plan.yaml:2: .*give either at_s"),
        ("faults:\n  - {kind: cut, at_s: 1, every_s: 2}\n", "plan.yaml:2: .*give either at_s"),
        ("faults:\n  - {kind: explode, at_s: 1}\n", "plan.yaml:2: .*kind.*broker_crash"),
        ("faults:\n  - {kind: kill, at_s: 1}\n", "plan.yaml:2: .*lasts_s"),
        ("until_s: 5\nfaults:\n  - {kind: cut, at_s: 5}\n", "faults.0..at_s .5. must be before until_s .5."),
        ("network:\n  paths:\n    - up: {loss: 1}\n", "plan.yaml:3: .*loss.*0.9"),
        ("network:\n  paths:\n    - up: {delay_ms: {kind: uniform, low: 3, high: 1}}\n", "plan.yaml:3: .*low .3. must"),
        ("network:\n  paths:\n    - up: {speed: 1}\n", "plan.yaml:3: .*speed"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        load_plan(written(tmp_path, text), environ={})
    assert "\n" not in str(caught.value)


def test_a_plan_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="there is no fault plan 'fog'; there are calm, crashes, storm, wifi"):
        load_plan("fog", environ={})
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_plan(str(tmp_path / "nowhere.yaml"), environ={})


def test_the_manual_s_plan_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    plan = load_plan(written(tmp_path, example), environ={})
    assert {fault.kind for fault in plan.faults} == set(
        re.findall(r"^\| `(\w+)` \| ", page.split("| fault |")[1], re.MULTILINE)
    )
    assert plan.network.path("x.kitchen").up.loss == 0.02
