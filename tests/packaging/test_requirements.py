"""Every requirement has a floor, and a node finds all that it needs in its operating system's own packages."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
REQUIRED = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}
EVERY = [*REQUIRED, *(one for extra in EXTRAS.values() for one in extra if one.name != PROJECT["name"])]
TRIXIE = {  # Debian 13, on which Raspberry Pi OS is built, for arm64, armhf and armel alike
    "numpy": "2.2.4",
    "paho-mqtt": "2.1.0",
    "cbor2": "5.6.5",
    "pydantic": "2.10.6",
    "pyyaml": "6.0.2",
    "psutil": "7.0.0",
    "rich": "13.9.4",
    "smbus2": "0.4.3",
    "sounddevice": "0.5.1",
    "aiohttp": "3.11.16",
    "prometheus-client": "0.21.1",
}


@pytest.mark.parametrize("requirement", [*EVERY, *map(Requirement, PYPROJECT["build-system"]["requires"])], ids=str)
def test_a_requirement_has_a_floor_and_no_ceiling(requirement: Requirement) -> None:
    # Without a floor a resolver may settle for a release from long before the first useful one.
    assert [one.operator for one in requirement.specifier] == [">="]


@pytest.mark.parametrize("requirement", [one for one in EVERY if one.name.lower() in TRIXIE], ids=str)
def test_the_operating_systems_own_package_is_new_enough(requirement: Requirement) -> None:
    assert TRIXIE[requirement.name.lower()] in requirement.specifier


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_up_needs_no_extra_where_there_are_wheels(machine: str) -> None:
    environment = {"platform_machine": machine}
    needed = {one.name for one in REQUIRED if one.marker is None or one.marker.evaluate(environment)}
    assert {one.name for one in EXTRAS["hub"]} <= needed


@pytest.mark.parametrize("machine", ["armv6l", "armv7l"])
def test_a_32_bit_node_takes_nothing_but_what_a_node_needs(machine: str) -> None:
    environment = {"platform_machine": machine}
    needed = {one.name.lower() for one in REQUIRED if one.marker is None or one.marker.evaluate(environment)}
    assert needed == {"numpy", "paho-mqtt", "cbor2", "pydantic", "pyyaml"}
