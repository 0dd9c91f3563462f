"""`node calibrate`: what it prints, what it refuses, and a real loop through a sound server."""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from becomingone.cli import calibrate, main
from becomingone.node.calibrate import Latency
from becomingone.node.pulse_fit import Response

LAMP = '''
"""A lamp that writes down when it is told what."""
import time
from pydantic import BaseModel

class Options(BaseModel, frozen=True, extra="forbid"):
    role: str = "display"

told: list[tuple[int, float]] = []

class Device:
    def __init__(self, options, ports):
        self.role = options.role

    def apply(self, values):
        told.append((time.monotonic_ns(), values["brightness"]))

    def rest(self):
        told.append((time.monotonic_ns(), 0.0))
'''

EYE = '''
"""Sees the lamp of the same folder, 0.2 s later."""
import sys
import time
from pydantic import BaseModel
from becomingone.devices.contract import Channel

class Options(BaseModel, frozen=True, extra="forbid"):
    hang: bool = False

class Device:
    origin = "simulated"

    def __init__(self, options, ports):
        if options.hang:
            time.sleep(60)
        self.channels = (Channel("brightness", "", 200.0, "brightness", 0.0),)
        self.told = next(module.told for name, module in sys.modules.items() if name.endswith("_lamp"))

    def read(self):
        then = time.monotonic_ns() - 200_000_000
        return {"brightness": next((value for when, value in reversed(self.told) if when <= then), 0.0)}

    def close(self):
        pass
'''


def configured(folder: Path, inputs: str, outputs: str) -> str:
    drop_in = folder / "devices"
    drop_in.mkdir()
    (drop_in / "lamp.py").write_text(LAMP.lstrip())
    (drop_in / "eye.py").write_text(EYE.lstrip())
    file = folder / "node.yaml"
    file.write_text(
        f"cell: home\nnode: kitchen\ndrop_in: {drop_in}\ninputs:\n- {{{inputs}}}\noutputs:\n- {{{outputs}}}\n"
    )
    return str(file)


def run(file: str, *more: str, entry: str = "eye", output: str = "lamp") -> int:
    return main(["node", "calibrate", file, "--input", entry, "--output", output, *more])


def latency(output_s: float | None = None, *, saturated: bool = False) -> Latency:
    response = Response(
        latency_s=0.0803, sigma_s=0.002, error_s=0.0006, pulses=20, found=19, chance=0.001, snr_db=41.23
    )
    return Latency("sound", response, output_s, saturated)


def test_it_prints_the_line_for_the_configuration() -> None:
    assert calibrate._lines(latency(0.05), "mic", "beep") == [
        "mic (sound) has seen 19 of 20 pulses of beep; chance does as well with p = 0.001",
        "from command to response  0.0803 s, standard error 0.0006 s, spread of one pulse 0.0020 s",
        "of which the output       0.0500 s, as its driver tells",
        "into the configuration, to the input mic:",
        "    latency_s: 0.0303",
    ]


def test_it_says_what_it_cannot_know() -> None:
    lines = "\n".join(calibrate._lines(latency(), "mic", "beep"))
    assert "unknown: this is both together" in lines
    assert lines.endswith("latency_s: 0.0803")
    lines = "\n".join(calibrate._lines(latency(0.09, saturated=True), "mic", "beep"))
    assert "the driver is wrong" in lines
    assert "the end of its range" in lines
    assert lines.endswith("latency_s: 0.0000")
    assert "wrong" not in "\n".join(calibrate._lines(latency(0.0815), "mic", "beep"))  # within the error


def test_the_json_has_every_figure() -> None:
    assert calibrate._figures(latency(0.05)) == {
        "channel": "sound",
        "latency_s": 0.0303,
        "total_s": 0.0803,
        "output_s": 0.05,
        "sigma_s": 0.002,
        "error_s": 0.0006,
        "pulses": 20,
        "found": 19,
        "chance": 0.001,
        "snr_db": 41.2,
        "saturated": False,
    }


def test_a_name_that_is_not_there_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configured(tmp_path, "name: eye, kind: eye", "name: lamp, kind: lamp")
    assert run(file, entry="ear") == 2
    assert "there is no input 'ear'; the inputs are eye" in capsys.readouterr().err
    assert run(file, output="horn") == 2
    assert "there is no output 'horn'; the outputs are lamp" in capsys.readouterr().err


def test_a_motor_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configured(tmp_path, "name: eye, kind: eye", "name: lamp, kind: lamp, options: {role: motor}")
    assert run(file) == 2
    assert "role motor is not pulsed" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["4", "1001", "many"])
def test_too_few_pulses_are_refused(count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(str(tmp_path / "node.yaml"), "--count", count)
    assert "5..1000" in capsys.readouterr().err


def test_a_device_that_hangs_does_not_keep_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "_PATIENCE_S", 0.3)
    file = configured(tmp_path, "name: eye, kind: eye, options: {hang: true}", "name: lamp, kind: lamp")
    assert run(file) == 1
    assert "opening the devices has not returned: a device hangs" in capsys.readouterr().err


@pytest.mark.slow
def test_a_flash_is_measured_without_a_broker(tmp_path: Path) -> None:
    file = configured(tmp_path, "name: eye, kind: eye", "name: lamp, kind: lamp")
    command = [sys.executable, "-m", "becomingone", "node", "calibrate", file, "--input=eye", "--output=lamp"]
    done = subprocess.run([*command, "--count=8", "--json"], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["input"], found["output"], found["channel"]) == ("eye", "lamp", "brightness")
    assert found["found"] >= 6
    assert 0.19 < found["latency_s"] < 0.25  # a busy machine reads late
    assert found["output_s"] is None


def _has_portaudio() -> bool:
    try:
        return importlib.util.find_spec("sounddevice") is not None and bool(importlib.import_module("sounddevice"))
    except OSError:
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A PulseAudio of its own whose only output is recorded from; gives the environment that leads to it."""
    plugin = list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    if shutil.which("pulseaudio") is None or not plugin or not _has_portaudio():
        pytest.skip("needs PulseAudio, ALSA's plugin for it and PortAudio: apt install pulseaudio libasound2-plugins")
    socket = tmp_path / "native"
    config = tmp_path / "asound.conf"
    config.write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    folder = str(tmp_path)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PULSE_", "DBUS_"))},
        "HOME": folder,
        "XDG_RUNTIME_DIR": folder,
        "PULSE_RUNTIME_PATH": folder,
        "PULSE_STATE_PATH": folder,
        "PULSE_SERVER": f"unix:{socket}",
        "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{config}",
    }
    process = subprocess.Popen(
        [
            "pulseaudio",
            *("-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1",
            "--load=module-null-sink sink_name=loop",
        ],
        env={name: value for name, value in environ.items() if name != "PULSE_SERVER"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 20
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"PulseAudio did not start: {process.communicate()[0]}")
            time.sleep(0.05)
        yield environ
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@pytest.mark.slow
def test_a_speaker_and_a_microphone_on_a_sound_server(server: dict[str, str], tmp_path: Path) -> None:
    """What is played on the server's null output comes back from its monitor, some tens of ms later."""
    file = tmp_path / "node.yaml"
    file.write_text(
        "cell: home\nnode: kitchen\n"
        "inputs:\n- {name: mic, kind: microphone, options: {mode: waveform, rate_hz: 48000}}\n"
        "outputs:\n- {name: beep, kind: speaker}\n"
    )
    command = [sys.executable, "-m", "becomingone", "node", "calibrate", str(file), "--input=mic", "--output=beep"]
    done = subprocess.run(
        [*command, "--count=12", "--json"], env=server, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["found"] >= 9
    assert 0.005 < found["total_s"] < 0.6
    assert found["output_s"] > 0
    assert found["latency_s"] < 0.15
    assert not found["saturated"]


def test_the_handler_takes_the_parsers_arguments() -> None:
    from becomingone.cli.parser import parse  # noqa: PLC0415 - what is tested

    arguments = parse(["node", "calibrate", "n.yaml", "--input", "a", "--output", "b"])
    assert isinstance(arguments, argparse.Namespace)
    assert (arguments.count, arguments.seed, arguments.channel, arguments.json) == (20, None, None, False)
