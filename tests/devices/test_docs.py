"""The page on devices is true: its example works, and it knows every option."""

import doctest
import importlib
import importlib.resources
import re
from pathlib import Path

import pytest
import yaml

from becomingone.devices import registry
from becomingone.devices.contract import Sensor
from becomingone.devices.recording import Device, Options
from becomingone.errors import DeviceUnavailableError

from .fakes import FakePorts

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_example_is_a_working_drop_in(tmp_path: Path) -> None:
    (tmp_path / "thermometer.py").write_text(blocks("python")[0])
    module = registry.load("thermometer", drop_in=tmp_path)
    assert module.summary.startswith("A DS18B20")
    file = tmp_path / "temperature"
    device = module.device(module.options(file=str(file)), FakePorts())
    assert isinstance(device, Sensor)
    with pytest.raises(DeviceUnavailableError, match="no thermometer at"):
        device.read()
    file.write_text("21562\n")
    assert device.read() == {"temperature": 21.562}
    device.close()


def test_the_example_is_as_short_as_promised() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 25


@pytest.mark.parametrize("kind", registry.catalogue())
def test_every_option_of_every_kind_is_on_the_page(kind: str) -> None:
    section = PAGE.split(f"\n### {kind}\n")[1].split("\n### ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert named == set(registry.load(kind).options.model_fields)


@pytest.mark.parametrize("kind", registry.catalogue())
def test_the_examples_in_the_modules_run(kind: str) -> None:
    assert doctest.testmod(importlib.import_module(f"becomingone.devices.{kind}")).failed == 0


def test_the_replays_on_the_page_can_be_made() -> None:
    examples = [yaml.safe_load(text) for text in blocks("yaml")]
    assert len(examples) == 2
    for example in examples:
        device = Device(Options(**example), FakePorts())
        assert len(device.read()) == 1


def test_every_recording_has_a_page_that_names_its_columns_and_licence() -> None:
    folders = [folder for folder in importlib.resources.files("becomingone.data").iterdir() if folder.is_dir()]
    folders = [folder for folder in folders if not folder.name.startswith("_")]
    assert len(folders) >= 3
    for folder in folders:
        page = (folder / "README.md").read_text(encoding="utf-8")
        assert "| licence |" in page
        assert f"package:{folder.name}/" in PAGE
        for file in folder.iterdir():
            if file.name.endswith(".csv"):
                for column in file.read_text(encoding="utf-8").splitlines()[0].split(","):
                    assert f"`{column}`" in page
