"""The machine's own figures: means since the last reading, and None rather than nonsense."""

import math
import sys
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest
from pydantic import ValidationError
from pytest_mock import MockerFixture

from becomingone.devices.host import Device, Options
from becomingone.errors import DeviceUnavailableError, MissingLibraryError

from .fakes import FakeClock, FakePorts


class Times(NamedTuple):
    user: float
    nice: float
    system: float
    idle: float
    iowait: float
    guest: float


class Machine:
    """Counters that the test turns."""

    def __init__(self, mocker: MockerFixture) -> None:
        self.times = Times(100, 0, 50, 1000, 10, 30)
        self.nics = {"lo": 10_000, "eth0": 5_000}
        self.disk: int | None = 7_000
        self.chips: dict[str, float] = {"nvme": 35.0, "cpu_thermal": 51.5}
        mocker.patch("psutil.cpu_times", self._processor)
        mocker.patch("psutil.virtual_memory", return_value=SimpleNamespace(percent=41.5))
        mocker.patch("psutil.net_io_counters", self._network)
        mocker.patch("psutil.disk_io_counters", self._disk)
        mocker.patch("psutil.sensors_temperatures", self._chips, create=True)

    def _processor(self) -> Times:
        return self.times

    def _network(self, pernic: bool) -> dict[str, Any]:
        assert pernic
        return {name: SimpleNamespace(bytes_recv=count, bytes_sent=2 * count) for name, count in self.nics.items()}

    def _disk(self) -> Any:
        return None if self.disk is None else SimpleNamespace(read_bytes=self.disk, write_bytes=self.disk)

    def _chips(self) -> dict[str, list[Any]]:
        return {name: [SimpleNamespace(current=value)] for name, value in self.chips.items()}


@pytest.fixture
def machine(mocker: MockerFixture) -> Machine:
    return Machine(mocker)


ALL = ("load", "memory", "network", "disk", "temperature")


def test_every_measure(machine: Machine) -> None:
    clock = FakeClock()
    device = Device(Options(measures=ALL, rate_hz=2), FakePorts(clock))
    assert [(c.name, c.unit, c.rate_hz, c.floor) for c in device.channels] == [
        ("load", "%", 2, 0.5),
        ("memory", "%", 2, 0.02),
        ("network", "kB/s", 2, 1.0),
        ("disk", "kB/s", 2, 4.0),
        ("temperature", "°C", 2, 0.2),
    ]
    clock.advance(0.5)
    machine.times = Times(100.2, 0, 50.1, 1000.6, 10.1, 30.2)
    machine.nics = {"lo": 90_000, "eth0": 6_000, "wlan0": 70_000}
    machine.disk = 8_000
    machine.chips["cpu_thermal"] = 52.0
    assert device.read() == pytest.approx(
        {"load": 30.0, "memory": 41.5, "network": 6.0, "disk": 4.0, "temperature": 52.0}
    )
    clock.advance(1.0)
    machine.nics["wlan0"] = 71_000  # counted from now on, not from zero
    assert device.read()["network"] == pytest.approx(3.0)


def test_counters_that_go_backwards_or_stand_still_are_missing(machine: Machine) -> None:
    clock = FakeClock()
    device = Device(Options(measures=("load", "network", "disk")), FakePorts(clock))
    clock.advance(1)
    machine.nics["eth0"] = 10
    machine.disk = None
    assert device.read() == {"load": None, "network": None, "disk": None}
    clock.advance(1)
    machine.nics["eth0"] = 1_010
    machine.disk = 9_000
    machine.times = Times(101, 0, 50, 1000, 10, 30)
    assert device.read() == {"load": 100.0, "network": 3.0, "disk": None}
    clock.advance(1)
    assert device.read()["disk"] == 0.0
    assert device.read()["disk"] is None  # no time has passed


def test_a_failing_figure_is_missing_and_the_others_go_on(machine: Machine, mocker: MockerFixture) -> None:
    device = Device(Options(measures=("memory", "temperature")), FakePorts())
    machine.chips = {}
    assert device.read() == {"memory": 41.5, "temperature": None}
    for error in (psutil.AccessDenied(), OSError(5, "I/O"), NotImplementedError("no"), RuntimeError("no")):
        mocker.patch("psutil.virtual_memory", side_effect=error)
        assert device.read()["memory"] is None


def test_a_temperature_that_is_not_there_is_left_out(machine: Machine) -> None:
    machine.chips = {"nvme": 40.0}
    device = Device(Options(measures=("temperature", "memory")), FakePorts())
    assert [channel.name for channel in device.channels] == ["memory"]
    assert device.read() == {"memory": 41.5}
    with pytest.raises(DeviceUnavailableError, match="no CPU temperature sensor"):
        Device(Options(measures=("temperature",)), FakePorts())


@pytest.mark.usefixtures("machine")
def test_a_system_without_temperatures_at_all(mocker: MockerFixture) -> None:
    del psutil.sensors_temperatures
    with pytest.raises(DeviceUnavailableError):
        Device(Options(measures=("temperature",)), FakePorts())
    mocker.patch("psutil.sensors_temperatures", create=True)  # given back by the end of the test


def test_without_psutil_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "becomingone.devices._machine", raising=False)
    monkeypatch.delattr("becomingone.devices._machine", raising=False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'becomingone\[node\]'"):
        Device(Options(), FakePorts())


def test_this_very_machine() -> None:
    clock = FakeClock()
    device = Device(Options(measures=ALL), FakePorts(clock))
    for _ in range(3):
        clock.advance(0.25)
        values = device.read()
        assert set(values) == {channel.name for channel in device.channels}
        assert all(value is None or math.isfinite(value) for value in values.values())
    assert values["memory"] is not None
    assert 0 < values["memory"] < 100
    device.close()


@pytest.mark.parametrize(
    "wrong", [{"measures": ()}, {"measures": ("load", "load")}, {"measures": ("mood",)}, {"rate_hz": 21}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options(**wrong)
