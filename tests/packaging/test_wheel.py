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

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build in a copy: setuptools writes into the folder that it builds from, and trusts what it finds there."""
    copy = tmp_path_factory.mktemp("source") / "copy"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    made = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(copy)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [path.name for path in made.glob("*.tar.gz")] == ["becomingone-0.1.0.tar.gz"]
    return made / "becomingone-0.1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel where there is nothing else but links to what it says that it requires."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    venv.create(folder, symlinks=True)
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q"]
    subprocess.run([*command, "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)], check=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read("becomingone-0.1.0.dist-info/METADATA").decode()
    for name in closure(re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder


def closure(requirements: list[str], extra: str = "", seen: frozenset[str] = frozenset()) -> set[str]:
    """Name what these requirements bring along on this machine."""
    names: set[str] = set()
    for requirement in map(Requirement, requirements):
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if wanted and requirement.name not in seen | names:
            names.add(requirement.name)
            for inner in ("", *requirement.extras):
                names |= closure(distribution(requirement.name).requires or [], inner, seen | names)
    return names


def sources(folder: str, patterns: tuple[str, ...]) -> set[str]:
    base = ROOT / "src" / "becomingone"
    return {str(path.relative_to(base.parent)) for pattern in patterns for path in (base / folder).glob(pattern)}


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    rooms = [path.name for path in (ROOT / "src" / "becomingone").iterdir() if path.is_dir()]
    modules = sources("", ("*.py",)).union(*(sources(room, ("**/*.py",)) for room in rooms))
    data = {
        "becomingone/py.typed",
        *sources("config", ("examples/*.yaml",)),
        *sources("data", ("**/*.csv", "**/*.gz", "**/*.txt", "**/*.md")),
        *sources("scenarios", ("*.yaml",)),
    }
    assert names == modules | data
    assert {path.name for path in (ROOT / "src/becomingone/data").rglob("*") if path.is_file()} - {
        Path(name).name for name in names
    } <= {path.name for path in (ROOT / "src/becomingone/data").rglob("*.pyc")}
    assert not [name for name in names if "test" in name]


def test_the_wheel_carries_its_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("becomingone-0.1.0.dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        names = archive.namelist()
    for text in (ROOT / "src" / "becomingone" / "data").glob("*/LICENSE.txt"):
        assert f"becomingone/data/{text.parent.name}/LICENSE.txt" in names


def test_the_program_knows_its_version(environment: Path) -> None:
    command = [environment / "bin" / "becomingone", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "becomingone 0.1.0\n"


def test_a_mesh_runs_from_the_wheel_alone(environment: Path, tmp_path: Path) -> None:
    command = [environment / "bin" / "becomingone", "up", "--duration", "5", "--json", "--port", "0"]
    result = subprocess.run([*command, "--state", tmp_path], capture_output=True, text=True, cwd=tmp_path, timeout=50)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["nodes"] >= 5
    assert report["dropped"] == 0, report["dropped_reasons"]
