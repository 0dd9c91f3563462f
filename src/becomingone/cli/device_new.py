"""``devices new``: a device module to begin with, and a test that passes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from becomingone.cli.exits import Exit
from becomingone.devices.registry import is_kind
from becomingone.errors import ConfigError

_SENSOR: Final = '''\
"""One line on what it measures, and with what."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from becomingone.devices.contract import Channel, Origin, Ports
from becomingone.errors import DeviceUnavailableError


class Options(BaseModel, frozen=True, extra="forbid"):
    """What a node's configuration may say; each field with its unit and range."""

    file: Annotated[Path, Field(description="a file that holds the reading, a number")]
    rate_hz: Annotated[float, Field(ge=0.1, le=100, description="readings a second, Hz")] = 10.0


class Device:
    """A sensor of one channel."""

    origin: Origin = "live"

    def __init__(self, options: Options, ports: Ports) -> None:
        # The floor is the smallest oscillation, in the unit, that is more than the sensor's own noise.
        self.channels = (Channel("value", unit="", rate_hz=options.rate_hz, quantity="value", floor=0.01),)
        self._file = options.file
        self.read()  # what is not there is not opened; the node tries again later

    def read(self) -> dict[str, float | None]:
        """Give the reading of this moment; None for one that is missing."""
        try:
            return {"value": float(self._file.read_text())}
        except (OSError, ValueError) as error:
            raise DeviceUnavailableError(f"no reading in {self._file}: {error}") from error

    def close(self) -> None:
        """Let go of the hardware."""
'''

_SENSOR_TEST: Final = '''\
"""The sensor in a mesh, in virtual time; the fixture comes with becomingone."""

from pathlib import Path

FILE = Path(__file__).with_name("NAME.py")


def test_it_is_read(mesh, tmp_path):
    reading = tmp_path / "reading"
    reading.write_text("21.5")
    device = mesh.run_device(FILE, options={"file": reading}, hardware="pi_4")
    mesh.run_for(2)
    assert (device.state, device.problem) == ("ready", None)
    assert [channel["name"] for channel in device.about["channels"]] == ["value"]
    assert device.frames()


def test_it_may_come_late(mesh, tmp_path):
    reading = tmp_path / "reading"
    device = mesh.run_device(FILE, options={"file": reading}, hardware="pi_4")
    mesh.run_for(2)
    assert device.problem.startswith("no reading in")
    reading.write_text("21.5")
    assert mesh.run_until(lambda: device.problem is None)
'''

_OUTPUT: Final = '''\
"""One line on what it does, and with what."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from becomingone.devices.contract import Ports


class Options(BaseModel, frozen=True, extra="forbid"):
    """What a node's configuration may say; each field with its unit and range."""

    brightest: Annotated[float, Field(gt=0, le=1, description="brightness at most, 0..1")] = 1.0


class Device:
    """An output; its role decides what it is told: a display takes a hue and a brightness."""

    role = "display"

    def __init__(self, options: Options, ports: Ports) -> None:
        self._brightest = options.brightest
        self._terminal = ports.terminal

    def apply(self, values: Mapping[str, float]) -> None:
        """Start showing a hue, 0..360 degrees, at a brightness, 0..1, and return at once."""
        brightness = min(values["brightness"], self._brightest)
        self._terminal.write(f"hue {values['hue']:.0f} brightness {brightness:.2f}\\n")

    def rest(self) -> None:
        """Go to the safe state: at the start, when commands stop, at the end."""
        self._terminal.write("dark\\n")
'''

_OUTPUT_TEST: Final = '''\
"""The output in a mesh, in virtual time; the fixture comes with becomingone."""

from pathlib import Path

FILE = Path(__file__).with_name("NAME.py")


def test_it_is_at_rest_at_first(mesh):
    device = mesh.run_device(FILE)
    mesh.run_for(2)
    assert device.state == "ready"
    assert device.output["doing"] == "rest"
    assert device.screen.startswith("dark")


def test_it_follows_the_mesh(mesh):
    device = mesh.run_device(FILE, options={"brightest": 0.5})
    mesh.add_walkers(2)

    def shown():
        return [float(line.split()[-1]) for line in device.screen.splitlines() if line.startswith("hue")]

    assert mesh.run_until(lambda: any(shown()))  # dark until the mesh has found a rhythm
    mesh.run_for(10)
    assert max(shown()) == 0.5
'''


def new(arguments: argparse.Namespace) -> int:
    """Write both files; never over one that is there.

    Raises
    ------
    ConfigError
        The name cannot be a kind, a file is there already, or the folder cannot be written to.
    """
    name: str = arguments.name
    if not is_kind(name):
        msg = f"{name!r} cannot be a kind of device: lower-case letters, digits and _, beginning with a letter"
        raise ConfigError(msg)
    folder: Path = arguments.folder
    device, test = folder / f"{name}.py", folder / f"test_{name}.py"
    code, check = (_OUTPUT, _OUTPUT_TEST) if arguments.output else (_SENSOR, _SENSOR_TEST)
    for file in (device, test):
        if file.exists():
            msg = f"{file} is there already; nothing has been written"
            raise ConfigError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        device.write_text(code, "utf-8")
        test.write_text(check.replace("NAME", name), "utf-8")
    except OSError as error:
        msg = f"{error.filename} cannot be written: {error.strerror}"
        raise ConfigError(msg) from error
    print(f"{device} and {test} are written. Next: pytest {test}, becomingone devices check {device},")
    print(f"and in node.yaml drop_in: {folder.resolve()} with a device of kind: {name}.")
    return Exit.DONE
