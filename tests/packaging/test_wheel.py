"""What is published: a source archive, the wheel that is built from it, and a mesh that runs from nothing but that."""

import json
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

import becomingone

ROOT = Path(__file__).parents[2]
VERSION = becomingone.__version__
META = f"becomingone-{VERSION}.dist-info"
LEFT_BEHIND = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist")

pytestmark = pytest.mark.slow


def run(*words: str | Path, timeout_s: float = 50) -> str:
    """Return what a command prints."""
    result = subprocess.run(
        [str(word) for word in words], check=False, capture_output=True, text=True, timeout=timeout_s
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build in a copy: setuptools writes into the folder that it builds from, and trusts what it finds there."""
    copy = tmp_path_factory.mktemp("source") / "copy"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    made = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", made, copy)  # the archive, and from it the wheel
    assert (made / f"becomingone-{VERSION}.tar.gz").is_file()
    return made / f"becomingone-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel where there is nothing else but links to what it says that it requires."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    run(*pip, "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps", wheel)
    (site,) = (folder / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{META}/METADATA").decode()
    for name in brought_along(re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)):
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
            (site / top).symlink_to(str(installed.locate_file(top)))
    return folder / "bin"


def brought_along(requirements: list[str]) -> set[str]:
    """Name what pip would install for these requirements on this machine."""
    todo = [(text, "") for text in requirements]
    done: set[tuple[NormalizedName, str]] = set()
    for text, extra in todo:
        one = Requirement(text)
        if one.marker is not None and not one.marker.evaluate({"extra": extra}):
            continue
        for wanted in {(canonicalize_name(one.name), inner) for inner in ("", *one.extras)} - done:
            done.add(wanted)
            todo += [(further, wanted[1]) for further in distribution(one.name).requires or []]
    return {name for name, _ in done}


def files_below(folder: Path, name: str) -> set[str]:
    """Every file as it is called in the package, links to the rooms followed."""
    found: set[str] = set()
    for child in folder.iterdir():
        if child.is_dir() and child.name != "__pycache__":
            found |= files_below(child, f"{name}/{child.name}")
        elif child.is_file():
            found.add(f"{name}/{child.name}")
    return found


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(META)}
    assert names == files_below(ROOT / "src" / "becomingone", "becomingone")
    assert {"becomingone/py.typed", "becomingone/scenarios/home.yaml", "becomingone/node/agent.py"} <= names
    assert any(re.fullmatch(r"becomingone/config/examples/\w+\.yaml", name) for name in names)
    assert not [name for name in names if re.search(r"\btests?\b|/test_", name)]


def test_the_wheel_carries_its_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{META}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        names = archive.namelist()
    for text in (ROOT / "src" / "becomingone" / "data").glob("*/LICENSE.txt"):
        assert f"becomingone/data/{text.parent.name}/LICENSE.txt" in names


def test_the_program_knows_its_version(programs: Path) -> None:
    assert run(programs / "becomingone", "--version") == f"becomingone {VERSION}\n"


def test_a_mesh_runs_from_the_wheel_alone(programs: Path, tmp_path: Path) -> None:
    words = ["up", "--json", "--port", "0", "--state", str(tmp_path / "state"), "--duration"]
    report = json.loads(run(programs / "becomingone", *words, "5").splitlines()[-1])
    if report["nodes"] < 5:  # a busy machine: six processes have not even started by then
        report = json.loads(run(programs / "becomingone", *words, "30").splitlines()[-1])
    assert report["nodes"] >= 5
    assert report["dropped"] == 0, report["dropped_reasons"]
