"""The unit that `becomingone node unit` prints: complete, shut in, and taken by systemd's own tools."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from becomingone.cli import main, service_unit, units
from becomingone.cli.hardware import HARDWARE, hardware_of
from becomingone.cli.service_unit import Place, unit
from becomingone.cli.units import secret_names
from becomingone.devices.registry import load
from becomingone.errors import ConfigError
from becomingone.node.config import NodeConfig

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
TONE = {"name": "t", "kind": "synthetic"}
WORST = 3.0


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' files are below /tmp, and in a folder that pytest closes to others."""
    monkeypatch.setattr(units, "TEMPORARY", ())
    monkeypatch.setattr(service_unit, "_check_readable", lambda files, user: None)


def write(folder: Path, text: str = "", **fields: object) -> Path:
    path = folder / "node.yaml"
    path.write_text(yaml.safe_dump({"node": "kitchen", **fields}) + text)
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["node", "unit", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["node", "unit", *arguments]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    return err


def fields(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_it_runs_this_interpreter_with_this_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, inputs=[TONE])
    found = fields(printed(capsys, str(path), "--systemd", "252", "--set", "logging.level=DEBUG"))
    (command,) = found["ExecStart"]
    words = shlex.split(command)
    assert words == [
        sys.executable, "-P", "-m", "becomingone", "node", "run", str(path), "--set", "logging.level=DEBUG",
    ]  # fmt: skip
    assert found["Restart"] == ["always"]
    assert found["StartLimitIntervalSec"] == ["0"]
    assert found["StateDirectory"] == ["becomingone"]
    assert found["DynamicUser"] == ["yes"]


def test_reloading_is_notified_where_systemd_can_and_signalled_where_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path))
    new, old = (fields(printed(capsys, path, "--systemd", version)) for version in ("253", "252"))
    assert new["Type"] == ["notify-reload"]
    assert "ExecReload" not in new
    assert old["Type"] == ["notify"]
    assert old["ExecReload"] == ["kill -HUP $MAINPID"]


def test_secrets_come_from_systemd_and_need_not_be_known_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "security: {key: !secret node_key}\n"
    path = write(tmp_path, text + "broker: {url: 'mqtt://h', username: u, password: !secret mqtt.pass}\n")
    assert secret_names(path) == ["node_key", "mqtt.pass"]
    found = fields(printed(capsys, str(path)))
    assert found["LoadCredential"] == ["node_key:becomingone.node_key", "mqtt.pass:becomingone.mqtt.pass"]


def test_the_key_of_a_certificate_is_handed_over_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broker = {"url": "mqtts://h", "certificate": "/etc/b/n.crt", "key": "/etc/b/n.key"}
    found = fields(printed(capsys, str(write(tmp_path, broker=broker))))
    assert found["LoadCredential"] == ["tls_key:/etc/b/n.key"]
    assert "BECOMINGONE__BROKER__KEY=%d/tls_key" in found["Environment"]
    broker["key"] = "/run/credentials/becomingone-kitchen.service/tls_key"
    assert "LoadCredential" not in fields(printed(capsys, str(write(tmp_path, broker=broker))))


DROP_IN = """\
\"\"\"A thermometer.\"\"\"
from pydantic import BaseModel
try:
    import smbus2
except ImportError:
    smbus2 = None

class Options(BaseModel, frozen=True, extra="forbid"):
    pass

class Device:
    def __init__(self, options, ports):
        self._ports = ports

    def read(self):
        return self._ports.spi

    def close(self):
        pass
"""


def test_hardware_is_seen_in_the_modules(tmp_path: Path) -> None:
    (tmp_path / "thermo.py").write_text(DROP_IN)
    assert hardware_of([load("thermo", drop_in=tmp_path)]) == {"i2c", "spi"}
    assert hardware_of([load("synthetic"), load("host"), load("recording"), load("terminal")]) == set()
    assert hardware_of([load("microphone")]) == {"audio"}
    assert hardware_of([SimpleNamespace(device=int)]) == set()  # type: ignore[list-item]


def test_a_node_gets_the_hardware_that_it_needs_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = fields(printed(capsys, str(write(tmp_path, inputs=[TONE]))))
    assert bare["PrivateDevices"] == ["yes"]
    assert "DeviceAllow" not in bare
    path = write(tmp_path, inputs=[{"name": "ears", "kind": "microphone"}])
    text = printed(capsys, str(path), "--allow", "serial")
    found = fields(text)
    assert "PrivateDevices" not in found
    assert found["DevicePolicy"] == ["closed"]
    assert set(found["DeviceAllow"]) == {f"{d} rw" for name in ("audio", "serial") for d in HARDWARE[name].devices}
    assert {*found.get("SupplementaryGroups", []), *re.findall("# There is no group (\\w+) here", text)} == {
        "audio",
        "dialout",
    }


def test_words_are_quoted_as_systemd_reads_them(tmp_path: Path) -> None:
    path = tmp_path / 'my "own" 100% $node' / "node.yaml"
    place = Place(Path(sys.executable), Path("/opt"), "", 257)
    config = NodeConfig.model_validate({"node": "n"})
    text = unit(config, path, overrides=["a=$HOME %h"], names=(), hardware=(), user=None, place=place)
    (command,) = fields(text)["ExecStart"]
    assert shlex.split(command)[-3:] == [str(path).replace("%", "%%").replace("$", "$$"), "--set", "a=$$HOME %%h"]


def test_what_could_not_work_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "which node?" in refused(capsys)
    assert "--allow: lasers: must be among audio" in refused(capsys, str(write(tmp_path)), "--allow", "lasers")
    assert "may write below /var/lib only" in refused(capsys, str(write(tmp_path, state_dir="/srv/x")))
    assert "no such user" in refused(capsys, str(write(tmp_path)), "--user", "nobody-of-that-name")
    assert "node.yaml:" in refused(capsys, str(write(tmp_path, health_s=0)))
    assert "no such file" in refused(capsys, str(tmp_path / "absent.yaml"))
    monkeypatch.setattr(units, "TEMPORARY", (tmp_path,))
    assert "could not see it" in refused(capsys, str(write(tmp_path)))


def test_a_user_of_ones_own_may_have_its_files_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = fields(printed(capsys, str(write(tmp_path, state_dir="/srv/my node")), "--user", "root"))
    assert found["User"] == ["root"]
    assert "DynamicUser" not in found
    assert found["ReadWritePaths"] == ['"/srv/my node"']


def test_files_that_are_closed_to_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (tmp_path / "closed").mkdir(mode=0o700)
    file = tmp_path / "closed" / "node.yaml"
    file.touch()
    with pytest.raises(ConfigError, match="closed to others"):
        service_unit._check_readable([file], None)
    service_unit._check_readable([file], "root")
    with pytest.raises(ConfigError, match="No such file"):
        service_unit._check_readable([tmp_path / "absent"], None)


def test_the_hardware_watchdog_is_offered_where_there_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "WATCHDOG", tmp_path / "watchdog")
    assert "there is no" in refused(capsys, "--hardware-watchdog")
    (tmp_path / "watchdog").touch()
    text = printed(capsys, "--hardware-watchdog")
    assert text.startswith("# /etc/systemd/system.conf.d/")
    assert fields(text)["RuntimeWatchdogSec"] == ["14s"]


def write_unit(folder: Path, hardware: list[str], **wanted: object) -> Path:
    config = NodeConfig.model_validate({"node": "kitchen", **wanted})
    place = Place(Path(sys.executable), Path("/opt"), "", 252)
    path = folder / "becomingone-kitchen.service"
    text = unit(
        config, Path("/etc/b/node.yaml"), overrides=(), names=("node_key",), hardware=hardware, user=None, place=place
    )
    path.write_text(text)
    return path


@analyze
@pytest.mark.parametrize("hardware", [[], ["gpio"], ["audio"], sorted(HARDWARE)], ids="-".join)
def test_systemd_calls_it_safe(tmp_path: Path, hardware: list[str]) -> None:
    path = write_unit(tmp_path, hardware)
    environ = {**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8"}
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", told.stdout)
    assert score is not None, told
    assert float(score[1]) <= WORST, score[0]


@analyze
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    path = write_unit(tmp_path, sorted(HARDWARE))
    told = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    ours = [line for line in told.stderr.splitlines() if "becomingone" in line]
    assert ours == []
    assert told.returncode == 0, told.stderr
