"""The processor's temperature comes from the right zone, and what is missing is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from becomingone.devices.contract import Sensor
from becomingone.devices.cpu_temperature import Device, Options
from becomingone.errors import DeviceUnavailableError

from .fakes import FakePorts


def zones(folder: Path, **temperatures: str) -> Path:
    for number, (kind, text) in enumerate(temperatures.items()):
        zone = folder / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind.replace("_", "-") + "\n")
        (zone / "temp").write_text(text)
    return folder


def made(path: Path, zone: str | None = None) -> Device:
    return Device(Options(path=path, zone=zone), FakePorts())


def test_it_reads_thousandths_of_a_degree(tmp_path: Path) -> None:
    device = made(zones(tmp_path, cpu_thermal="48312\n"))
    assert isinstance(device, Sensor)
    assert device.channels[0].unit == "°C"
    assert device.read() == {"temperature": 48.312}
    (tmp_path / "thermal_zone0" / "temp").write_text("-5000\n")
    assert device.read() == {"temperature": -5.0}
    device.close()


def test_the_processor_s_zone_is_found_among_others(tmp_path: Path) -> None:
    assert made(zones(tmp_path, acpitz="20000", cpu_thermal="50000")).read() == {"temperature": 50.0}


def test_the_first_zone_is_taken_where_none_is_known(tmp_path: Path) -> None:
    assert made(zones(tmp_path, acpitz="20000", gpu="30000")).read() == {"temperature": 20.0}


def test_a_zone_can_be_named(tmp_path: Path) -> None:
    folder = zones(tmp_path, acpitz="20000", gpu_thermal="30000")
    assert made(folder, "gpu-thermal").read() == {"temperature": 30.0}
    with pytest.raises(DeviceUnavailableError, match=r"of the type disk in .*; there are acpitz, gpu-thermal"):
        made(folder, "disk")


def test_a_machine_without_zones_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailableError, match=r"no thermal zone of a processor's in .*; there are none"):
        made(tmp_path / "nothing")


def test_a_zone_that_disappears_or_holds_nonsense_is_unavailable(tmp_path: Path) -> None:
    device = made(zones(tmp_path, cpu_thermal="48312\n"))
    file = tmp_path / "thermal_zone0" / "temp"
    file.write_text("warm")
    with pytest.raises(DeviceUnavailableError, match="holds no number"):
        device.read()
    file.unlink()
    with pytest.raises(DeviceUnavailableError, match="is not there any more"):
        device.read()


def test_a_reading_that_the_kernel_refuses_is_missing(tmp_path: Path) -> None:
    device = made(zones(tmp_path, cpu_thermal="48312\n"))
    file = tmp_path / "thermal_zone0" / "temp"
    file.unlink()
    file.mkdir()  # reading it is an error of another kind, as EAGAIN of a sensor that is asleep
    assert device.read() == {"temperature": None}
