"""``becomingone devices``: the catalogue, a module to begin with, what is wrong with one, and a device at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from becomingone.cli import main
from becomingone.cli.device_try import gentle
from becomingone.wire.command import RANGES

from .running import PROGRAM

COUNTER = '''\
"""Counts its own readings."""

from typing import Annotated

from pydantic import BaseModel, Field

from becomingone.devices.contract import Channel


class Options(BaseModel, frozen=True, extra="forbid"):
    first: Annotated[int, Field(ge=0, description="first value, from 0")] = 0


class Device:
    origin = "simulated"

    def __init__(self, options, ports):
        self.channels = (Channel("count", "", 10.0, "count", 0.0),)
        self._next = options.first

    def read(self):
        self._next += 1
        return {"count": self._next - 1}

    def close(self):
        print("closed")
'''

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counter.py").write_text(COUNTER)
    return tmp_path


def run(*words: str | Path) -> int:
    return main(["devices", *map(str, words)])


# list, show


def test_list_names_every_kind_the_broken_ones_with_their_line(folder: Path, capsys: Capture) -> None:
    (folder / "typo.py").write_text("x = (\n")
    (folder / "talker.py").write_text(f"print('hello')\n{COUNTER}")
    (folder / "needy.py").write_text(
        "from becomingone.errors import MissingLibraryError\nraise MissingLibraryError('pip install x')\n"
    )
    (folder / "test_counter.py").write_text("")
    assert run("list", "--drop-in", folder, "--json") == 0
    kinds = json.loads(capsys.readouterr().out)
    assert kinds["counter"] == "Counts its own readings."
    assert kinds["talker"] == ""  # its docstring is not the first thing in it
    assert kinds["typo"].startswith(f"broken: {folder}/typo.py, line 1: SyntaxError: ")
    assert kinds["needy"] == "unavailable: pip install x"
    assert {"button", "cpu_temperature", "led", "motor"} <= set(kinds)
    assert "test_counter" not in kinds
    assert run("list", "--drop-in", folder) == 0
    assert "counter          Counts its own readings.\n" in capsys.readouterr().out


def test_show_tells_the_options(folder: Path, capsys: Capture) -> None:
    assert run("show", "counter", "--drop-in", folder) == 0
    assert capsys.readouterr().out == "counter: Counts its own readings.\n  first: first value, from 0 (default 0)\n"
    assert run("show", "motor", "--json") == 0
    assert "deadman_s" in json.loads(capsys.readouterr().out)["properties"]
    assert run("show", "counter") == 2
    assert "there is no kind of device 'counter'" in capsys.readouterr().err


# new


@pytest.mark.parametrize("options", [[], ["--output"]])
def test_what_new_writes_passes_its_test_and_check(options: list[str], folder: Path, capsys: Capture) -> None:
    place = folder / "mine"
    assert run("new", "thing", "--folder", place, *options) == 0
    assert f"{place}/test_thing.py" in capsys.readouterr().out
    (place / "empty.ini").write_text("[pytest]\n")
    plugin = [] if _installed() else ["-p", "becomingone.sim.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "empty.ini", *plugin, "."],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    (folder / "reading").write_text("1.5")
    given = [] if options else ["--set", f"file={folder}/reading"]
    assert run("check", place / "thing.py", *given) == 0
    assert capsys.readouterr().out == f"{place}/thing.py: a device module without a fault\n"


def _installed() -> bool:
    """Whether pytest finds the fixtures by itself, because the package is installed with its entry points."""
    from importlib.metadata import entry_points  # noqa: PLC0415

    return bool(entry_points(group="pytest11", name="becomingone"))


def test_new_writes_over_nothing_and_takes_no_bad_name(folder: Path, capsys: Capture) -> None:
    assert run("new", "counter") == 2
    assert "counter.py is there already" in capsys.readouterr().err
    assert (folder / "counter.py").read_text() == COUNTER
    assert not (folder / "test_counter.py").exists()
    for name in ("Big", "../up", "test_x", "contract", ""):
        assert run("new", name) == 2
        assert "cannot be a kind of device" in capsys.readouterr().err


# check


def test_check_finds_no_fault_where_there_is_none(folder: Path, capsys: Capture) -> None:
    assert run("check", "counter.py", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": "counter.py", "wrong": [], "notes": [], "ok": True}


BAD = [
    (("import os\n", "import os\n1 / 0\n"), "thing.py:2: ZeroDivisionError: division by zero"),
    (("class Options", "class Options(:"), "thing.py:10: SyntaxError"),
    (("frozen=True, ", ""), "thing.py:10: Options must be declared as"),
    ((', description="first value, from 0"', ""), "thing.py:11: first has no description"),
    (('"""Counts its own readings."""\n', "\n"), "thing.py: the module has no docstring"),
    (("(self, options, ports)", "(self, options)"), "thing.py:17: Device is made as Device(options, ports)"),
    (("def close", "def shut"), "thing.py:14: Device needs read() and close()"),
    (("def read(self)", "def read(self, fast)"), "thing.py:21: read is called so, which does not fit"),
    (('"count", ""', '"Count!", ""'), "thing.py:14: "),
    (("10.0", "0.0"), "thing.py:14: channel count: rate_hz must be above 0"),
    (('{"count": ', '{"other": '), "thing.py:21: read() gives 'other', which is none of its channels"),
    (("self._next - 1}", '"one"}'), "thing.py:21: read() gives 'one' for count"),
    (("return {", "return 1, {"), "thing.py:21: read() must give a mapping or Blocks, not a int"),
    (("self._next += 1", "raise SystemExit(3)"), "thing.py:22: SystemExit: 3"),
    (('origin = "simulated"', 'origin = "dreamt"'), "thing.py:14: origin must be"),
    (("class Device:", "print('hello')\n\n\nclass Device:"), "thing.py: prints to standard output"),
]


@pytest.mark.parametrize(("change", "wanted"), BAD, ids=[wanted for _, wanted in BAD])
def test_check_says_what_is_wrong_and_where(
    change: tuple[str, str], wanted: str, folder: Path, capsys: Capture
) -> None:
    text = f"import os\n{COUNTER}" if change[0] == "import os\n" else COUNTER
    assert change[0] in text
    (folder / "thing.py").write_text(text.replace(*change))
    assert run("check", "thing.py") == 2
    said = capsys.readouterr().out
    assert any(line.startswith(wanted) for line in said.splitlines()), said


def test_check_says_everything_at_once(folder: Path, capsys: Capture) -> None:
    text = COUNTER.replace("frozen=True, ", "").replace("def close", "def shut").replace("options, ports", "options")
    (folder / "thing.py").write_text(text)
    assert run("check", "thing.py", "--json") == 2
    said = json.loads(capsys.readouterr().out)
    assert [finding["line"] for finding in said["wrong"]] == [10, 14, 17]
    assert not said["ok"]


OUTPUT = '''\
"""A lamp."""

from pydantic import BaseModel


class Options(BaseModel, frozen=True, extra="forbid"):
    pass


class Device:
    role = "display"

    def __init__(self, options, ports):
        pass

    def apply(self, values):
        assert 0 <= values["hue"] <= 360

    def rest(self):
        pass
'''


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("", ""), "without a fault"),
        (('"display"', '"heater"'), "thing.py:10: the role must be one of display, speaker, motor, not 'heater'"),
        (("<= 360", "<= 300"), "thing.py:17: AssertionError"),
    ],
)
def test_check_tries_an_output(change: tuple[str, str], wanted: str, folder: Path, capsys: Capture) -> None:
    (folder / "thing.py").write_text(OUTPUT.replace(*change) if change[0] else OUTPUT)
    assert run("check", "thing.py") == (0 if not change[0] else 2)
    assert wanted in capsys.readouterr().out


def test_check_of_what_is_no_device_file(folder: Path, capsys: Capture) -> None:
    assert run("check", "none.py") == 2
    assert "none.py: cannot be read" in capsys.readouterr().out
    (folder / "Big.py").write_text(COUNTER)
    assert run("check", "Big.py") == 2
    assert "must be named KIND.py" in capsys.readouterr().out


# try


def test_try_reads_a_sensor(folder: Path, capsys: Capture) -> None:
    assert run("try", "counter", "--drop-in", folder, "--set", "first=40", "--seconds", "0.5", "--json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop() == "closed"
    readings = [json.loads(line) for line in lines]
    assert readings[0] == {"seconds": 0.0, "count": 40}
    assert len(readings) >= 2
    assert run("try", "synthetic", "--seconds", "0.3") == 0
    assert "tone samples" in capsys.readouterr().out


def test_try_drives_a_display_and_puts_it_to_rest(capsys: Capture) -> None:
    assert run("try", "terminal", "--seconds", "0.3", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[0])["brightness"] == 0.3
    assert said.err.endswith("display rests\n")


def test_try_moves_no_motor_unless_it_is_allowed(capsys: Capture) -> None:
    assert run("try", "motor", "--set", "left.forward=17", "--set", "left.backward=18") == 1
    assert "may be, a motor: give --armed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["try", "counter"], "there is no kind of device 'counter'"),
        (["try", "synthetic", "--set", "rate=1"], "rate: synthetic has no such option; it has frequency_hz"),
        (["try", "synthetic", "--set", "rate_hz"], "--set rate_hz: must be written as option=value"),
        (["try", "synthetic", "--set", "rate_hz=["], "--set rate_hz: the value is not YAML"),
        (["try", "synthetic", "--set", "rate_hz=0"], "rate_hz: must be greater than or equal to 0.001"),
        (["try", "button"], "pin: must be given: --set pin=..."),
        (["try", "led", "--set", "pin=1", "--set", "pin.x=1"], "pin has a value already"),
    ],
)
def test_try_refuses_bad_input(words: list[str], message: str, folder: Path, capsys: Capture) -> None:
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_try_says_why_a_device_is_not_there(folder: Path, capsys: Capture) -> None:
    assert run("try", "cpu_temperature", "--set", f"path={folder}") == 1
    assert "no thermal zone of a processor's" in capsys.readouterr().err
    (folder / "thing.py").write_text(COUNTER.replace("self._next += 1", "raise SystemExit(3)"))
    assert run("try", "thing", "--drop-in", folder) == 1
    assert "the device has failed: SystemExit: 3" in capsys.readouterr().err


def test_try_ends_in_order_when_it_is_told_to(folder: Path) -> None:
    command = [*PROGRAM, "devices", "try", "counter", "--drop-in", str(folder), "--seconds", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("seconds 0")
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert out.endswith("closed\n")
    assert process.returncode == 0


@pytest.mark.parametrize("role", RANGES)
def test_what_try_tells_an_output_is_in_its_ranges(role: str) -> None:
    for step in range(1000):
        values = gentle(role, step / 20)
        assert set(values) == set(RANGES[role])
        for name, (least, most) in RANGES[role].items():
            assert least <= values[name] <= most
