"""`config` and `devices`: what a person meets before anything runs."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from becomingone.cli import main
from becomingone.cli.scenario import names


@pytest.mark.parametrize("kind", ["node", "hub"])
def test_the_example_is_without_a_fault(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example", kind]) == 0
    path = tmp_path / f"{kind}.yaml"
    path.write_text(capsys.readouterr().out)
    assert main(["config", "check", str(path)]) == 0
    assert f"a {kind} configuration without a fault" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["node", "hub"])
def test_the_example_shows_every_section(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["config", "schema", kind])
    fields = set(json.loads(capsys.readouterr().out)["properties"])
    main(["config", "example", kind])
    text = capsys.readouterr().out
    missing = {field for field in fields if f"{field}:" not in text}
    assert missing <= {"root"}


def test_every_scenario_is_without_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert "home" in names()
    for name in names():
        path = str(files("becomingone.scenarios").joinpath(f"{name}.yaml"))
        assert main(["config", "check", path]) == 0
        assert "a scenario configuration" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hardware": "pi_9"}, ":2: hardware: must be 'pi_zero'"),
        ({"nodee": "x"}, ": nodee: unknown field; did you mean 'node'?"),
        ({"inputs": [{"name": "a", "kind": "hostt"}]}, ": inputs[0].kind: there is no kind of device 'hostt'"),
        (
            {"inputs": [{"name": "a", "kind": "host", "options": {"rate_hz": 99}}]},
            ": inputs[0].options.rate_hz: must be less than or equal to 20",
        ),
        (
            {"inputs": [{"name": "a", "kind": "host", "options": {"speed": 1}}]},
            ": inputs[0].options.speed: host has no such option; it has measures, rate_hz",
        ),
        ({"bands": {"slow": {"frequency_hz": 1, "tau_s": 0}}}, ": bands.slow.tau_s: must be greater than 0"),
        ({"broker": {"url": "tcp://x"}}, ": broker.url: must be mqtt://host"),
        ({"node": "Kitchen!"}, ":1: node: must match the pattern"),
    ],
)
def test_a_fault_is_told_with_file_line_and_field(
    change: dict, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(yaml.safe_dump({"node": "kitchen", "hardware": "pi_4", **change}, sort_keys=False))
    assert main(["config", "check", str(path)]) == 2
    told = capsys.readouterr().err
    assert f"{path}:" in told
    assert says in told
    assert "Traceback" not in told


def test_the_faults_of_a_file_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("node: kitchen\nhealth_s: 0\nfoo: 1\n")
    assert main(["config", "check", "--json", str(path), "--set", "frames_per_s=x"]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["file"], told["kind"], told["sha256"], err) == (str(path), "node", None, "")
    assert [(problem["source"], problem["line"], problem["field"]) for problem in told["problems"]] == [
        (str(path), 2, "health_s"),
        (str(path), 3, "foo"),
        ("--set frames_per_s", None, "frames_per_s"),
    ]
    assert told["problems"][0]["message"] == "must be at least 1 (got 0)"
    assert told["problems"][0]["text"] == f"{path}:2: health_s: must be at least 1 (got 0)"
    assert main(["config", "check", "--json", str(tmp_path / "none.yaml")]) == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["message"] == "there is no such file"


def test_the_digest_of_a_good_file_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("node: kitchen\n")
    assert main(["config", "check", "--json", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(path), "kind": "node", "sha256": told["sha256"], "problems": []}
    main(["config", "check", str(path)])
    assert told["sha256"] in capsys.readouterr().out


DIFFERENCES = [
    # old, new, what a running node takes, what needs a restart
    ("node: n\n", "node: n\nhealth_s: 30\n", [], []),
    ("node: n\n", "node: n\nhealth_s: 5\n", ["health_s"], []),
    ("node: n\n", "node: m\nlogging: {level: DEBUG}\n", ["logging.level"], ["node"]),
    (
        "cell: home\ntick_hz: 20\n",
        "cell: home\ntick_hz: 10\nlogging: {level: DEBUG}\n",
        [],
        ["logging.level", "tick_hz"],
    ),
]


@pytest.mark.parametrize(("old", "new", "hot", "restart"), DIFFERENCES)
def test_what_another_file_changes(
    old: str, new: str, hot: list[str], restart: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]
    Path(paths[0]).write_text(old)
    Path(paths[1]).write_text(new)
    assert main(["config", "diff", "--json", *paths]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (sorted(told["hot"]), sorted(told["restart"])) == (hot, restart)
    assert main(["config", "diff", *paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {f"reload   {path}" for path in hot} | {f"restart  {path}" for path in restart} <= set(lines)
    assert ("no difference" in lines) == (not hot and not restart)
    assert any("all or nothing" in line for line in lines) == bool(hot and restart)


def test_a_file_that_is_refused_has_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.yaml").write_text("node: n\n")
    (tmp_path / "new.yaml").write_text("node: n\nhealth_s: 0\n")
    assert main(["config", "diff", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]) == 2
    assert "new.yaml:2: health_s" in capsys.readouterr().err


def test_only_what_can_be_reloaded_says_what_needs_a_restart(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, marked in (("node", True), ("hub", False), ("broker", False)):
        main(["config", "schema", kind])
        assert ('"requires_restart"' in capsys.readouterr().out) is marked


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hub.yaml"
    path.write_text("cell: home\ntick_hz: 0\nmaster:\n  tau_s: -1\n")
    assert main(["config", "check", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1:3] for line in lines] == [[f"{path}:2", "tick_hz"], [f"{path}:4", "master.tau_s"]]


def test_a_secret_in_a_hub_file_does_not_hide_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tick_hz: 10\nbroker:\n  password: !secret nowhere\n")
    assert main(["config", "check", str(path)]) == 2
    assert "mine.yaml:3: broker.password" in capsys.readouterr().err


def test_devices_list_names_a_broken_drop_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.py").write_text('"""A broken one."""\nimport nothing_of_that_name\n')
    assert main(["devices", "list", "--drop-in", str(tmp_path), "--json"]) == 0
    kinds = json.loads(capsys.readouterr().out)
    assert kinds["broken"].startswith("broken: ")
    assert {"host", "recording", "synthetic", "microphone", "terminal"} <= set(kinds)


def test_devices_show_tells_each_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "show", "host"]) == 0
    assert "rate_hz: readings a second, Hz (default 4.0)" in capsys.readouterr().out
    assert main(["devices", "show", "hots"]) == 2
    assert "did you mean host?" in capsys.readouterr().err
