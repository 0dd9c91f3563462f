"""The pytest plugin as a third party has it: installed, in a process of its own, with the manual's example."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "simulation.md").read_text("utf-8")
HERE = Path(__file__).parent / "third_party"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What an installation leaves behind for pytest to find: the package's own entry points, and the package."""
    site = tmp_path_factory.mktemp("site")
    info = site / "becomingone-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: becomingone\nVersion: 0\n")
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    (info / "entry_points.txt").write_text("[pytest11]\n" + "".join(f"{name} = {to}\n" for name, to in points.items()))
    return site


def run(installed, folder, *words):
    """Run pytest where nothing of this repository's own configuration reaches."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    paths = os.pathsep.join((str(ROOT / "src"), str(installed)))
    environ |= {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    strict = ("-p", "no:cacheprovider", "--strict-markers", "--import-mode=importlib", "-W", "error")
    command = [sys.executable, "-m", "pytest", *strict, "--rootdir", str(folder), "-c", os.devnull, *words, str(folder)]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def said(installed, tmp_path_factory):
    """One run of everything, because starting pytest takes longer than the tests."""
    folder = tmp_path_factory.mktemp("third_party")
    device, test = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for name, text in (("example", device), ("broken", device.replace("float(self._file.read_text())", "1.0"))):
        (folder / name).mkdir()
        (folder / name / "belt.py").write_text(text)
        (folder / name / "test_belt.py").write_text(test)
    for file in HERE.glob("*.txt"):
        (folder / file.stem).mkdir()
        for name, text in re.findall(
            r"^--- (\S+)\n(.*?)(?=^--- |\Z)", file.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            (folder / file.stem / name).write_text(text)
    return run(
        installed, folder, "-rA", "-q", "--deselect", "broken/test_belt.py::test_it_outlives_a_broker_that_forgets"
    )


def outcomes(said, folder):
    found = re.findall(rf"^(PASSED|FAILED|ERROR) {folder}/\S+::(\w+)", said, re.MULTILINE)
    assert found, said
    return {name: outcome for outcome, name in found}


def test_the_manual_s_example_passes(said):
    assert outcomes(said, "example") == {
        "test_the_mesh_sees_the_breath": "PASSED",
        "test_a_belt_that_is_plugged_in_late": "PASSED",
        "test_options_are_checked": "PASSED",
        "test_it_outlives_a_broker_that_forgets": "PASSED",
    }, said


def test_the_example_fails_with_a_belt_that_reads_nonsense(said):
    came = outcomes(said, "broken")
    assert came["test_the_mesh_sees_the_breath"] == "FAILED"
    assert came["test_a_belt_that_is_plugged_in_late"] == "FAILED"


@pytest.mark.parametrize(("folder", "number"), [("fixtures", 5), ("output", 1), ("own", 1)])
def test_what_the_fixtures_promise(said, folder, number):
    came = outcomes(said, folder)
    assert set(came.values()) == {"PASSED"}, said
    assert len(came) == number


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("test_misspelt", "takes seed and faults, not fault"),
        ("test_without_a_name", "takes seed and faults, by name"),
        ("test_no_such_plan", "there is no fault plan 'fog'"),
        ("test_wrong_plan", "give either at_s"),
    ],
)
def test_a_marker_that_is_wrong_is_named(said, test, says):
    assert outcomes(said, "markers")[test] == "ERROR"
    assert re.search(rf"^ERROR markers/\S+::{test} - .*", said, re.MULTILINE)
    assert says in said


def test_who_does_not_use_it_pays_next_to_nothing(installed, tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    ours = sorted(name for name in sys.modules if name.startswith('becomingone'))\n"
        "    assert ours == ['becomingone', 'becomingone.sim', 'becomingone.sim.pytest_plugin']\n"
        "    assert 'paho' not in sys.modules\n"
        "    assert 'numpy' not in sys.modules\n"
    )
    said = run(installed, tmp_path)
    assert "1 passed" in said, said


def test_the_fixtures_and_the_marker_are_listed(installed, tmp_path):
    said = run(installed, tmp_path, "--fixtures", "-q")
    for name in ("mesh", "broker", "clock"):
        assert re.search(rf"^{name} -- .*pytest_plugin.py:\d+\n    \S", said, re.MULTILINE), said
    assert "_becomingone_mesh" not in said
    marker = "@pytest.mark.becomingone(seed=1, faults=None)"
    assert marker in run(installed, tmp_path, "--markers")
