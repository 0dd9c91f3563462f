"""The start scripts: what they make once, what they mend, and what they say. Fakes play Python, pip and apt."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
TOOLS = "sh cat chmod dirname env flock grep id ln mkdir readlink rm sed sha256sum sleep sync".split()  # noqa: SIM905

FAKE_PYTHON = """#!/bin/sh
echo "$*" >>"$FAKE_LOG"
case "$1 $2" in
"-V "*) echo "Python $(cat "$(readlink -f "$0")".version)" ;;
"-c "*_base_executable*) grep -q '^3\\.1[1-9]' "$(readlink -f "$0")".version && readlink -f "$0" || echo ;;
"-c "*ensurepip*) [ ! -e "$(readlink -f "$0")".bare ] ;;
"-m venv")
    for folder; do :; done
    mkdir -p "$folder/bin"
    ln -s "$(readlink -f "$0")" "$folder/bin/python"
    echo "VIRTUAL_ENV='$folder'" >"$folder/bin/activate" ;;
"-m pip")
    sleep "${FAKE_PIP_S:-0}"
    if [ -n "${FAKE_PIP_ERROR:-}" ]; then echo "$FAKE_PIP_ERROR"; exit 1; fi
    bin=$(dirname "$0")
    echo 'echo "becomingone $*"' >"$bin/becomingone"
    for tool in ruff mypy pyright lint-imports ansible-lint; do : >"$bin/$tool"; done
    chmod +x "$bin"/* ;;
esac
"""


class Machine:
    """A computer with a fresh clone and few programs."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "a clone"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.environment = {"PATH": str(self.bin), "FAKE_LOG": str(self.log)}
        shutil.copytree(SCRIPTS, self.clone / "scripts")
        (self.clone / "ansible").mkdir()
        (self.clone / "pyproject.toml").write_text("first\n")
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)
        self.python("python3.13", "3.13.1")

    def python(self, name: str, version: str) -> Path:
        path = self.bin / name
        path.write_text(FAKE_PYTHON)
        path.chmod(0o755)
        path.with_name(f"{name}.version").write_text(version)
        return path

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def start(self, script: str = "up", *words: str, path: Path | None = None, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(path or self.clone / "scripts" / script), *words],
            env={**self.environment, **more},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str = "up", *words: str, path: Path | None = None, **more: str) -> tuple[int, str, str]:
        with self.start(script, *words, path=path, **more) as process:
            out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def made(self) -> list[str]:
        """Return what was made since the last look: environments and installations."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        kinds = {"-m venv": "venv", "-m pip": "pip"}
        return [kinds[line[:7].strip()] for line in lines if line[:7].strip() in kinds]

    @contextmanager
    def pip_at_work(self) -> Generator[subprocess.Popen[str]]:
        with self.start(FAKE_PIP_S="1") as process:
            end = time.monotonic() + 10
            while "-m pip" not in (self.log.read_text() if self.log.exists() else ""):
                assert time.monotonic() < end
                time.sleep(0.01)
            yield process


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    assert machine.run()[0] == 0
    assert machine.made() == ["venv", "pip"]
    return machine


def test_the_first_run_installs_and_leaves_standard_output_to_the_program(machine: Machine) -> None:
    code, out, err = machine.run("up", "--set", "a=b c", "--json")
    assert (code, out) == (0, "becomingone up --set a=b c --json\n")
    assert [line.split(":")[0] for line in err.splitlines()] == ["up", "up"]
    assert machine.made() == ["venv", "pip"]


def test_the_second_run_says_and_makes_nothing(ready: Machine) -> None:
    assert ready.run("up", "--json") == (0, "becomingone up --json\n", "")
    assert ready.made() == []


def test_a_script_may_be_called_through_a_link(ready: Machine, tmp_path: Path) -> None:
    (tmp_path / "start").symlink_to(ready.clone / "scripts" / "up")
    assert ready.run(path=tmp_path / "start") == (0, "becomingone up\n", "")


def test_the_output_of_pip_is_shown_when_it_fails_and_the_next_run_begins_again(machine: Machine) -> None:
    code, out, err = machine.run(FAKE_PIP_ERROR="no route to host")
    assert (code, out) == (1, "")
    assert "no route to host\nup: the requirements could not be installed" in err
    assert machine.made() == ["venv", "pip"]
    assert machine.run()[0] == 0
    assert machine.made() == ["venv", "pip"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_first_run_leaves_nothing_that_fools_the_second(
    machine: Machine, number: signal.Signals
) -> None:
    with machine.pip_at_work() as process:
        os.killpg(process.pid, number)
    machine.made()
    code, out, err = machine.run()
    assert (code, out) == (0, "becomingone up\n")
    assert ".venv was not finished" in err
    assert machine.made() == ["venv", "pip"]


def test_an_orphaned_pip_is_waited_for(machine: Machine) -> None:
    with machine.pip_at_work() as process:
        process.kill()
        code, _, err = machine.run()
    assert code == 0
    assert err.startswith("up: another run is preparing .venv; waiting for it\nup: .venv was not finished")
    assert machine.made() == ["venv", "pip", "venv", "pip"]


def test_a_second_run_waits_for_the_first(machine: Machine) -> None:
    with machine.pip_at_work() as first:
        code, out, err = machine.run()
    assert first.returncode == 0
    assert (code, out) == (0, "becomingone up\n")
    assert err == "up: another run is preparing .venv; waiting for it\n"
    assert machine.made() == ["venv", "pip"]


def test_new_requirements_are_installed_into_what_is_there(ready: Machine) -> None:
    (ready.clone / "pyproject.toml").write_text("second\n")
    assert ready.run()[0] == 0
    assert ready.made() == ["pip"]
    assert ready.run("up") == (0, "becomingone up\n", "")


def test_what_is_installed_for_development_stays(ready: Machine) -> None:
    assert ready.run("lint")[0] == 0
    assert ready.made() == ["pip"]
    assert ready.run("up") == (0, "becomingone up\n", "")
    (ready.clone / "pyproject.toml").write_text("second\n")
    assert ready.run("up")[0] == 0
    assert ready.run("lint", FAKE_PIP_ERROR="not again")[0] == 0


def test_an_environment_made_by_hand_is_added_to(ready: Machine) -> None:
    (ready.clone / ".venv" / "becomingone.stamp").unlink()
    assert ready.run()[0] == 0
    assert ready.made() == ["pip"]


def test_a_moved_project_gets_a_new_environment(ready: Machine) -> None:
    ready.clone = ready.clone.rename(ready.clone.with_name("elsewhere"))
    assert ready.run()[0] == 0
    assert ready.made() == ["venv", "pip"]


def test_an_upgraded_python_gets_a_new_environment_unless_only_its_patch_level_changed(ready: Machine) -> None:
    ready.python("python3.13", "3.13.2")
    assert ready.run("up") == (0, "becomingone up\n", "")
    (ready.bin / "python3.13").unlink()
    ready.python("python3", "3.14.0")
    assert ready.run()[0] == 0
    assert ready.made() == ["venv", "pip"]


def test_a_python_that_is_asked_for_is_taken(ready: Machine) -> None:
    other = str(ready.python("other", "3.12.4"))
    assert ready.run(PYTHON=other)[0] == 0
    assert ready.made() == ["venv", "pip"]
    assert ready.run("up", PYTHON=other) == (0, "becomingone up\n", "")
    assert ready.run("up") == (0, "becomingone up\n", "")  # whoever does not ask takes what is there


def test_a_python_that_is_asked_for_must_be_new_enough(machine: Machine) -> None:
    old = str(machine.python("old", "3.9.2"))
    assert machine.run(PYTHON=old) == (1, "", f"up: PYTHON={old} is not a Python 3.11 or later\n")


def test_without_apt_the_packages_are_named(machine: Machine) -> None:
    (machine.bin / "python3.13").unlink()
    machine.python("python3", "3.9.2")
    code, _, err = machine.run()
    assert code == 1
    assert "please install with your system's package manager what Debian calls: python3-venv" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="apt is root's")
def test_apt_brings_what_is_missing_and_reads_the_package_lists_only_then(machine: Machine) -> None:
    (machine.bin / "python3.13").rename(machine.bin / "later")
    (machine.bin / "python3.13.version").rename(machine.bin / "later.version")
    machine.program("apt-get", f'echo "apt $*" >>"{machine.log}"\n[ "$5" = update ]')
    code, _, err = machine.run()
    assert code == 1
    assert "please run: sudo apt-get install python3-venv" in err
    assert [line.split()[-1] for line in machine.log.read_text().splitlines() if line.startswith("apt")] == [
        "python3-venv",
        "update",
        "python3-venv",
    ]
