"""The rooms of the house are one package: what pyproject.toml lists is what is on the disk."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
PACKAGES: list[str] = SETUPTOOLS["packages"]
ROOMS: dict[str, str] = {name: path for name, path in SETUPTOOLS["package-dir"].items() if name != "becomingone"}


def folder_of(package: str) -> Path:
    """Where setuptools looks: below the longest listed parent."""
    parts = package.split(".")
    for length in range(len(parts), 0, -1):
        if base := SETUPTOOLS["package-dir"].get(".".join(parts[:length])):
            return ROOT.joinpath(base, *parts[length:])
    raise LookupError(package)


def packages_below(folder: Path, name: str) -> set[str]:
    """Every folder that holds Python, links followed."""
    found: set[str] = {name} if any(folder.glob("*.py")) else set()
    for child in folder.iterdir():
        if child.is_dir() and child.name != "__pycache__":
            found |= packages_below(child, f"{name}.{child.name}")
    return found


def test_every_package_is_listed_once_and_sorted() -> None:
    assert sorted(packages_below(ROOT / "src" / "becomingone", "becomingone")) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_a_listed_package_says_what_it_is_for(package: str) -> None:
    assert (folder_of(package) / "__init__.py").read_text("utf-8").startswith('"""')


def test_the_links_for_type_checkers_lead_to_the_rooms() -> None:
    source = ROOT / "src" / "becomingone"
    links = {f"becomingone.{link.name}": str(link.readlink()) for link in source.iterdir() if link.is_symlink()}
    assert links == {name: f"../../{path}" for name, path in ROOMS.items()}
    assert all(path == name.removeprefix("becomingone.") and (ROOT / path).is_dir() for name, path in ROOMS.items())


def test_the_type_checkers_and_the_linter_know_every_room() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    links = {f"src/becomingone/{path}" for path in ROOMS.values()}
    assert set(tools["pyright"]["include"]) == {"src/becomingone", *links}
    assert set(tools["ruff"]["extend-exclude"]) >= links  # each file is read once, in its room
    assert set(tools["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]) == set(ROOMS.values())


@pytest.mark.parametrize("room", ROOMS.values())
@pytest.mark.parametrize("line", ["import {0}", "import {0}.settings", "from {0} import thing", "from {0}.x import y"])
def test_a_room_is_imported_by_its_full_name_only(room: str, line: str) -> None:
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select=TID251", "--stdin-filename=hub/new.py", "-"]

    def verdict(code: str) -> str:
        return subprocess.run(ruff, check=False, input=f"{code}\n", capture_output=True, text=True, cwd=ROOT).stdout

    code = line.format(room)
    assert f"import becomingone.{room}" in verdict(code)
    assert "All checks passed" in verdict(code.replace(room, f"becomingone.{room}", 1))
