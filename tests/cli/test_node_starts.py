"""Starts of a node that fail, and what the next one makes of it: real processes."""

from __future__ import annotations

import json
import signal
import sys

import pytest

from .listening import Stranger
from .node_process import TONE, WIRE, Machine

BASE = "becomingone/home/node/n"
EARLY = {"failed_starts": 2, "stable_s": 3600}
HASTY = """\
import sys
from becomingone.cli import main, node_life
node_life.SAFE_S = 0.2
sys.exit(main())
"""


def test_after_starts_that_ended_early_it_starts_in_safe_mode_until_it_is_mended(machine: Machine) -> None:
    machine.configure(inputs=[WIRE], life=EARLY)
    for number in (1, 2):
        with machine.start() as node:
            node.until(lambda number=number: machine.starts.get("failed") == number)
            node.end(signal.SIGKILL)
    imports = machine.imports
    with Stranger(machine.port, f"{BASE}/about") as stranger, machine.start() as node:
        node.ready("safe mode: 2 starts in a row have failed; connected; 0 of 0 devices at work")
        assert stranger.until(lambda heard: bool(heard) and json.loads(heard[-1][1])["mode"] == "safe")
        about = json.loads(stranger.messages[-1][1])
        assert about["mode_why"].startswith("2 starts in a row have failed")
        assert about["devices"] == []
        node.signal(signal.SIGHUP)
        node.until(lambda: "takes effect with the next start only: mode" in node.said)
        assert node.end(signal.SIGTERM)[0] == 0
    assert machine.imports == imports, "safe mode imports no drop-in"
    assert machine.starts["failed"] == 2, "and stays, however it ends"
    machine.configure(inputs=[TONE], life=EARLY)
    with machine.start() as node:
        node.ready("connected; 1 of 1")
        assert node.end(signal.SIGTERM)[0] == 0
        assert machine.starts["failed"] == 0


@pytest.mark.slow
def test_a_drop_in_that_ends_the_process_leads_to_safe_mode_and_its_mending_out_of_it(machine: Machine) -> None:
    machine.configure(inputs=[WIRE], life=EARLY)
    whole = (machine.devices / "wire.py").read_text()
    (machine.devices / "wire.py").write_text(f"import os\nos._exit(7)\n{whole}")
    for _ in range(2):
        with machine.start() as node:
            assert node.end()[0] == 7
    with machine.start() as node:
        node.ready("safe mode")
    hasty = [sys.executable, "-c", HASTY]
    with machine.start(program=hasty) as node:  # in safe mode, from which it tries once more by itself
        assert node.end()[0] == 7
        assert "an ordinary start is tried again" in node.said
    with machine.start() as node:  # and is back
        node.ready("safe mode")
    (machine.devices / "wire.py").write_text(whole)
    with machine.start() as node:
        node.ready("connected; 1 of 1")


@pytest.mark.slow
def test_a_configuration_without_a_substitute_ends_with_2_and_leads_to_safe_mode_that_says_why(
    machine: Machine,
) -> None:
    machine.configure(life=EARLY, frames_per_s=-1)
    for _ in range(2):
        with machine.start() as node:
            assert node.end()[0] == 2
            assert "frames_per_s: must be" in node.said
            assert "Traceback" not in node.said
            machine.supervisor.listen()
            assert machine.supervisor.words == []
    with Stranger(machine.port, f"{BASE}/about") as stranger, machine.start() as node:
        node.ready("safe mode: 2 starts in a row have failed; the last one: ")
        assert stranger.until(lambda heard: bool(heard) and json.loads(heard[-1][1])["mode"] == "safe")
        assert "frames_per_s: must be" in json.loads(stranger.messages[-1][1])["mode_why"]


def test_a_configuration_of_which_nothing_can_be_made_out_ends_with_2(machine: Machine) -> None:
    machine.config.write_text("node: [\n")
    with machine.start() as node:
        assert node.end()[0] == 2
        assert "node.yaml:" in node.said
    assert machine.starts == {}


@pytest.mark.slow
def test_a_configuration_that_was_stable_takes_the_place_of_one_that_is_refused(machine: Machine) -> None:
    machine.configure(life={"stable_s": 0.1})
    with machine.start() as node:
        node.ready("connected; 1 of 1")
        node.until(lambda: [*(machine.folder / "state").glob("*.last_good")])
        assert node.end(signal.SIGTERM)[0] == 0
    machine.config.write_text(f"state_dir: {machine.folder}/state\nnode: n\ninputs: {{\n")
    with machine.start() as node:
        status = node.ready("last_good mode: ")
        assert "node.yaml:" in status
        assert "connected; 1 of 1" in status


def test_without_a_folder_to_write_in_it_runs_with_a_number_of_its_own_where_nobody_needs_it_to_grow(
    machine: Machine,
) -> None:
    (machine.folder / "state").write_text("a file where a folder should be")
    lives = set()
    for _ in range(2):
        with Stranger(machine.port, f"{BASE}/about") as stranger, machine.start() as node:
            status = f"state_dir {machine.folder}/state"
            node.ready(status)
            assert stranger.until(
                lambda heard: any(
                    json.loads(text)["mode_why"].startswith(f"state_dir {machine.folder}") for _, text in heard
                )
            )
            about = json.loads(stranger.messages[-1][1])
            assert about["mode"] == "normal"
            assert "without its disk" in about["mode_why"]
            lives.add(about["boot"])
            assert node.end(signal.SIGTERM)[0] == 0
    assert len(lives) == 2
    assert min(lives) >= 1 << 31


def test_without_a_folder_to_write_in_it_ends_in_a_cell_that_needs_its_number_to_grow(machine: Machine) -> None:
    (machine.folder / "state").write_text("a file where a folder should be")
    machine.configure(security={"key": bytes(range(32)).hex()})
    machine.config.chmod(0o600)
    with machine.start() as node:
        code = node.process.wait(30.0)
        assert code == 2
        assert "give a directory that this user may write" in node.said
