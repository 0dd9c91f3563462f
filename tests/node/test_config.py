"""What is wrong in a node's file is told with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from becomingone.config.loader import ConfigProblems, load
from becomingone.errors import ConfigError
from becomingone.node.config import NodeBody, NodeConfig, device_of

GOOD = """\
node: kitchen
cell: home
hardware: pi_4
inputs:
  - name: tone
    kind: synthetic
    prefix: x_
    bands: [stride]
    options:
      frequency_hz: 0.78
      rate_hz: 50
outputs:
  - name: light
    kind: terminal
bands:
  stride: {frequency_hz: 0.78, tau_s: 1.0}
  motion: {frequency_hz: 1.5, tau_s: 0.5}
"""


def read(tmp_path: Path, text: str) -> NodeConfig:
    path = tmp_path / "node.yaml"
    path.write_text(text, "utf-8")
    return load(NodeConfig, path, environ={})


def test_a_good_file_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.inputs[0].options == {"frequency_hz": 0.78, "rate_hz": 50}
    assert config.inputs[0].bands == ("stride",)
    assert config.outputs[0].stale_s == 2.0
    assert [band.name for band in config.band_plan()] == ["stride", "motion"]


def test_the_least_that_a_node_is(tmp_path: Path) -> None:
    config = read(tmp_path, "node: n\n")
    assert (config.hardware, config.capability, config.inputs, config.outputs) == ("pi_zero", 1.0, (), ())
    assert len(config.bands) == 6


BAD = [
    # what is put in the place of what, and what is said
    ("node: kitchen", "node: Kitchen", "1: node: must match the pattern ^[a-z0-9][a-z0-9_-]{0,62}$ (got 'Kitchen')"),
    ("node: kitchen", "node: hub", "1: node: must be another id than hub, which is the hub's own (got 'hub')"),
    ("node: kitchen\n", "", "1: node: is missing (must be text)"),
    ("cell: home", "cell: a/b", "2: cell: must match the pattern ^[a-z0-9][a-z0-9_-]{0,62}$ (got 'a/b')"),
    ("hardware: pi_4", "hardware: pi_5", "3: hardware: must be 'pi_zero', 'pi_4', 'pi_2', 'mac_mini' or 'cloud'"),
    ("hardware: pi_4", "capability: -1", "3: capability: must be at least 0 (got -1)"),
    ("hardware: pi_4", "capability: .nan", "3: capability: must be"),
    ("hardware: pi_4", "frames_per_s: 0", "3: frames_per_s: must be greater than 0 (got 0)"),
    ("hardware: pi_4", "health_s: 0.5", "3: health_s: must be at least 1 (got 0.5)"),
    ("hardware: pi_4", "clock: {sigma_s: -1}", "3: clock.sigma_s: must be at least 0 (got -1)"),
    ("name: tone", "name: '#'", "5: inputs[0].name: must match the pattern"),
    ("name: tone", "name: light", "13: outputs[0].name: two devices are named light"),
    ("kind: synthetic", "kind: synthetik", "6: inputs[0].kind: there is no kind of device 'synthetik': did you mean"),
    ("kind: synthetic", "kind: ../x", "6: inputs[0].kind: must match the pattern"),
    ("kind: synthetic", "kind: contract", "6: inputs[0].kind: 'contract' cannot be a kind of device"),
    ("prefix: x_", "prefix: X", "7: inputs[0].prefix: must match the pattern"),
    ("bands: [stride]", "bands: [strife]", "8: inputs[0].bands: the plan has no band strife; it has stride, motion"),
    ("bands: [stride]", "bands: stride", "8: inputs[0].bands: must be a list (got 'stride')"),
    ("frequency_hz: 0.78\n      ", "", ""),  # the option has a default
    ("frequency_hz: 0.78\n      ", "frequency: 0.78\n      ", "10: inputs[0].options.frequency: synthetic has no such"),
    ("rate_hz: 50", "rate_hz: fast", "11: inputs[0].options.rate_hz: must be a valid number"),
    ("rate_hz: 50", "rate_hz: 0", "11: inputs[0].options.rate_hz: must be greater than or equal to 0.001"),
    ("rate_hz: 50", "rate_hz: 1", "9: inputs[0].options: frequency_hz (0.78) must be below half of rate_hz (1)"),
    (
        "    kind: terminal",
        "    kind: terminal\n    stale_s: 61",
        "15: outputs[0].stale_s: must be at most 60 (got 61)",
    ),
    (
        "    kind: terminal",
        "    kind: terminal\n    options: {width: 0}",
        "15: outputs[0].options.width: must be greater than or equal to 1",
    ),
    ("tau_s: 1.0", "tau_s: 0", "16: bands.stride.tau_s: must be greater than 0 (got 0)"),
    ("tau_s: 1.0", "tau_s: 1.0, lag_s: 1", "16: bands.stride: "),
]


@pytest.mark.parametrize(("old", "new", "says"), BAD)
def test_what_is_wrong_is_told_with_its_line_and_field(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if not says:
        read(tmp_path, text)
        return
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert isinstance(caught.value, ConfigProblems)
    (line,) = caught.value.problems
    assert line.startswith(f"{tmp_path}/node.yaml:{says}"), line


def test_an_option_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match=r"inputs\[0\]\.options\.file: "):
        read(tmp_path, "node: n\ninputs:\n- {name: a, kind: recording}\n")


def test_two_inputs_of_one_name_point_to_the_second(tmp_path: Path) -> None:
    text = "node: n\ninputs:\n- {name: a, kind: synthetic}\n- {name: a, kind: host}\n"
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, text)
    assert [line.rsplit("/", 1)[1] for line in caught.value.problems] == [
        "node.yaml:4: inputs[1].name: two devices are named a (got 'a')"
    ]


def test_a_device_module_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        '"""My own."""\n'
        "from pydantic import BaseModel\n"
        "class Options(BaseModel, frozen=True, extra='forbid'):\n"
        "    gain: int = 1\n"
        "class Device:\n"
        "    def __init__(self, options, ports): pass\n"
        "    channels, origin = (), 'live'\n"
        "    def read(self): return []\n"
        "    def close(self): pass\n"
    )
    config = read(tmp_path, f"node: n\ndrop_in: {tmp_path}\ninputs:\n- {{name: a, kind: own, options: {{gain: 3}}}}\n")
    module, options = device_of(config.inputs[0], config.drop_in)
    assert (module.summary, options.model_dump()) == ("My own.", {"gain": 3})
    (tmp_path / "own.py").write_text("raise RuntimeError('no')\n")
    with pytest.raises(ConfigProblems, match=r"node\.yaml:4: inputs\[0\]\.kind: .*own\.py"):
        read(tmp_path, f"node: n\ndrop_in: {tmp_path}\ninputs:\n- {{name: a, kind: own}}\n")


def test_a_body_alone_can_be_checked_against_a_plan() -> None:
    body = NodeBody.model_validate({"node": "n", "inputs": [{"name": "a", "kind": "synthetic", "bands": ["x", "y"]}]})
    body.check_bands(["y", "x"])
    with pytest.raises(ValueError, match=r"^inputs\[0\]\.bands: the plan has no band y; it has x$"):
        body.check_bands(["x"])
